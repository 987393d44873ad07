package demosite

import "fmt"

// Sales returns the lines of the sales reports that can be read, in their
// order.
func (s *Site) Sales() []Sale {
	var list []Sale
	for _, sales := range s.plan.Load().desk.sales {
		for i, sale := range sales {
			if i != badAmount && i != shortLine {
				list = append(list, sale)
			}
		}
	}
	return list
}

// Shelves returns the lines of the stock report that can be read, in their
// order.
func (s *Site) Shelves() []Shelf {
	all := s.plan.Load().desk.shelves
	return append(append([]Shelf(nil), all[:badJSON]...), all[badJSON+1:]...)
}

// Branches returns what the report of the branches lists, in its order.
func (s *Site) Branches() []Branch { return s.plan.Load().desk.branches }

// Hours returns what the branches' own pages say, in the report's order.
func (s *Site) Hours() []Hours {
	var list []Hours
	for _, b := range s.Branches() {
		list = append(list, Hours{Branch: b.Name, Opens: b.Days[0] + " at nine", Edition: edition})
	}
	return list
}

// Reviews returns what the interface answers to the job's seeds, by id.
func (s *Site) Reviews() []Review {
	var list []Review
	for _, reviews := range s.plan.Load().desk.reviews {
		list = append(list, reviews...)
	}
	return list
}

// Archive returns the old titles, in the order of the sitemap.
func (s *Site) Archive() []Archived { return s.plan.Load().desk.archive }

// News returns the messages, in the order of the text file.
func (s *Site) News() []News { return s.plan.Load().desk.news }

// rejects are the dead letters of the reports' bad lines.
func (d *desk) rejects() []Rejected {
	var list []Rejected
	for i := range d.sales {
		url := fmt.Sprintf("%s/reports/sales-2026-%02d.csv", deskRoot, i+1)
		list = append(list, Rejected{Stage: "parse", Class: "data", URL: url, Record: "sale", Field: "amount", Value: "n/a"},
			Rejected{Stage: "parse", Class: "data", URL: url, Record: "sale"})
	}
	return append(list, Rejected{Stage: "parse", Class: "data", URL: deskRoot + "/reports/stock.jsonl", Record: "shelf"})
}
