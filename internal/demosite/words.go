package demosite

import (
	"math/rand/v2"
	"strings"
)

// The words everything readable is made of. Some carry what real catalogues
// carry: accents, apostrophes, ampersands.
var (
	adjectives = strings.Fields("Quiet Crooked Golden Hollow Northern Borrowed Salted Wandering Patient Blue Last Forgotten Amber Stubborn Distant Gentle Copper Unlikely Winter Velvet Señor's Fêted Half-Lit Restless")
	nouns      = strings.Fields("Harbour Orchard Lantern Ledger Cartographer Sparrow Kettle Meridian Almanac Beekeeper Violin Quarry Archive Ferryman Compass Garden Furrow Granary Windmill Clockmaker Atlas Glacier Tide Apprentice Bakery Signal Threshold Inheritance Observatory Hedge Plough Weaver")
	places     = strings.Fields("Aberllan Döbeln Marrow Saint-Émilion Tarn Osprey Vardø Eastwick Løkken Calder Brno Hartley Ullapool Nîmes Ravenna Skye Tavira Wexcombe Zadar Oulu")
	brands     = []string{"Furrow & Sons", "Tilth House", "O'Malley Press", "Éditions du Sillon", "Harbour Lane", "Seedbed", "North Field", "Winnow & Co."}
	subjects   = []string{"fiction", "history", "poetry", "travel", "natural history", "science", "crime", "children's", "food & drink", "art", "music", "économie"}
	ratings    = []string{"One", "Two", "Three", "Four", "Five"}
)

// common are the words of running text, most frequent first: text draws them
// with falling probability, as language does, so that it compresses like it.
var common = strings.Fields(`the of and to a in that it was he for on with as his at be by had not but from they which she or
we an were been their has would when who will more if no out so said what up its about into than them can only other new some could time these two may
then do first any my now such like our over man me even most made after also did many before must through back years where much your way well down should
because each just those people how too little state good very make world still own see men work long get here between both life being under never day same
another know while last might us great old year off come since against go came right used take three house field morning river road letter window table
summer winter garden stone paper money market village city harbour train evening silence brother sister mother father teacher soldier captain doctor
remember forget carry gather plough harvest measure borrow answer question reason memory weather country language history science journey promise secret
shadow copper silver timber barley orchard chapel bridge ladder engine barrel candle mirror needle pocket ribbon saddle thread willow copying keeping
walking waiting speaking turning falling standing slowly nearly hardly perhaps already together towards without beneath beyond whether although therefore`)

// random returns a generator that depends on nothing but its arguments.
func random(seed uint64, parts ...uint64) *rand.Rand {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h ^= p + 0x9e3779b97f4a7c15 + h<<6 + h>>2
		h *= 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return rand.New(rand.NewPCG(seed, h))
}

// pick draws one word.
func pick(r *rand.Rand, words []string) string { return words[r.IntN(len(words))] }

// appendText appends running text to b until it has grown by at least size
// bytes: sentences of common words, the frequent ones more often.
func appendText(b []byte, r *rand.Rand, size int) []byte {
	for end := len(b) + size; len(b) < end; {
		start := len(b)
		for n := 5 + r.IntN(14); n > 0; n-- {
			x := r.Float64()
			b = append(b, common[int(x*x*float64(len(common)))]...)
			if n > 1 {
				if r.IntN(11) == 0 {
					b = append(b, ',')
				}
				b = append(b, ' ')
			}
		}
		b[start] -= 'a' - 'A' // every word begins with an ASCII letter in lower case
		b = append(b, '.', ' ')
	}
	return b
}

// slug is the form of a title in a path: ASCII letters and digits, hyphens.
func slug(title string) string {
	var b strings.Builder
	hyphen := false
	for _, c := range strings.ToLower(title) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			if hyphen && b.Len() > 0 {
				b.WriteByte('-')
			}
			hyphen = false
			b.WriteRune(c)
		case c == '\'':
		default:
			hyphen = true
		}
	}
	return b.String()
}
