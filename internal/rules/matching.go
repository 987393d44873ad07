package rules

// Matching returns which rules, by their index in the job file, [Program.Apply]
// would apply to a page, without reading its body.
func (p *Program) Matching(d *Document) (rules []int) {
	for i, r := range p.rules {
		if len(r.match) > 0 && d.final.IsZero() || !r.matches(d) {
			continue
		}
		rules = append(rules, i)
		if r.last {
			break
		}
	}
	return rules
}
