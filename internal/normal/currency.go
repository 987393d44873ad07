package normal

import "strings"

// currencies are the codes of ISO 4217 for money in use (no metals, funds or
// test codes), and a few withdrawn ones that pages still show, by the number of
// digits of their minor unit.
var currencies = byMinor(map[int]string{
	0: `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`,
	2: `AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK
DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK
LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG
YER ZAR ZMW ZWG ZWL`,
	3: `BHD IQD JOD KWD LYD OMR TND`,
	4: `CLF UYW`,
})

// pointCurrencies are written with a decimal point wherever they are at home,
// commaCurrencies with a decimal comma. The others, EUR, CHF and CAD among
// them, are written both ways.
var (
	pointCurrencies = setOf(`AUD BBD BDT BMD BSD BZD CNY DOP GBP GHS GTQ HKD HNL ILS INR JMD KES LKR MMK MXN MYR NGN NIO NPR NZD PHP PKR
SGD THB TTD TWD TZS USD ZWG`)
	commaCurrencies = setOf(`ALL AMD AOA ARS AZN BAM BGN BOB BRL BYN COP CZK DKK GEL HUF IDR KGS KZT MAD MDL MKD MZN NOK PLN RON RSD RUB
SEK TRY UAH UYU UZS VES`)
)

// signs are the other ways to name a currency, with the codes each may mean.
// White space is left out of the keys.
var signs = map[string][]string{
	"$": {"USD", "ARS", "AUD", "BBD", "BMD", "BND", "BSD", "BZD", "CAD", "CLP", "COP", "CUP", "CVE", "DOP", "FJD", "GYD", "HKD", "JMD", "KYD", "LRD",
		"MOP", "MXN", "NAD", "NIO", "NZD", "SBD", "SGD", "SRD", "SVC", "TOP", "TTD", "TWD", "UYU", "WST", "XCD", "ZWG", "ZWL"},
	"¥": {"JPY", "CNY"}, "￥": {"JPY", "CNY"}, "元": {"CNY", "TWD", "HKD"}, "円": {"JPY"}, "圓": {"TWD", "HKD"}, "원": {"KRW"},
	"kr": {"SEK", "NOK", "DKK", "ISK"}, "kr.": {"DKK", "ISK", "SEK", "NOK"}, "Kr": {"SEK", "NOK", "DKK", "ISK"}, "Kr.": {"DKK", "ISK", "SEK", "NOK"},
	"Rs": {"INR", "PKR", "LKR", "NPR", "MUR", "SCR"}, "Rs.": {"INR", "PKR", "LKR", "NPR", "MUR", "SCR"}, "₨": {"INR", "PKR", "LKR", "NPR", "MUR", "SCR"},
	"руб": {"RUB", "BYN"}, "руб.": {"RUB", "BYN"}, "р.": {"RUB", "BYN"}, "lei": {"RON", "MDL"}, "Lei": {"RON", "MDL"}, "C$": {"CAD", "NIO"},
	"Fr.": {"CHF"}, "SFr.": {"CHF"}, "sFr.": {"CHF"}, "Fr": {"CHF"},
	"£": {"GBP"}, "€": {"EUR"}, "Euro": {"EUR"}, "euro": {"EUR"}, "EURO": {"EUR"}, "Eur": {"EUR"}, "eur": {"EUR"},
	"US$": {"USD"}, "U$S": {"USD"}, "A$": {"AUD"}, "AU$": {"AUD"}, "CA$": {"CAD"}, "Can$": {"CAD"}, "NZ$": {"NZD"}, "HK$": {"HKD"}, "S$": {"SGD"},
	"SG$": {"SGD"}, "NT$": {"TWD"}, "MX$": {"MXN"}, "Mex$": {"MXN"}, "R$": {"BRL"}, "RD$": {"DOP"}, "J$": {"JMD"}, "TT$": {"TTD"}, "EC$": {"XCD"},
	"COL$": {"COP"}, "CLP$": {"CLP"}, "AR$": {"ARS"}, "CN¥": {"CNY"}, "JP¥": {"JPY"}, "RMB": {"CNY"},
	"₹": {"INR"}, "₽": {"RUB"}, "₺": {"TRY"}, "₴": {"UAH"}, "₩": {"KRW"}, "₪": {"ILS"}, "฿": {"THB"}, "₫": {"VND"}, "đ": {"VND"}, "₦": {"NGN"},
	"₱": {"PHP"}, "₲": {"PYG"}, "₡": {"CRC"}, "₸": {"KZT"}, "₼": {"AZN"}, "₾": {"GEL"}, "₵": {"GHS"}, "₮": {"MNT"}, "₭": {"LAK"}, "៛": {"KHR"},
	"৳": {"BDT"}, "؋": {"AFN"}, "֏": {"AMD"}, "zł": {"PLN"}, "Kč": {"CZK"}, "Ft": {"HUF"}, "лв": {"BGN"}, "лв.": {"BGN"}, "RM": {"MYR"},
	"Rp": {"IDR"}, "Rp.": {"IDR"}, "S/": {"PEN"}, "S/.": {"PEN"}, "R": {"ZAR"}, "GH₵": {"GHS"}, "KSh": {"KES"}, "Ksh": {"KES"}, "TL": {"TRY"},
}

// byMinor turns lists of codes into a table.
func byMinor(lists map[int]string) map[string]int {
	table := map[string]int{}
	for minor, list := range lists {
		for _, code := range strings.Fields(list) {
			table[code] = minor
		}
	}
	return table
}

func setOf(list string) map[string]bool {
	set := map[string]bool{}
	for _, code := range strings.Fields(list) {
		set[code] = true
	}
	return set
}

// MinorUnits returns how many digits the minor unit of a currency has, and
// whether the code, in upper case, is one of ISO 4217 that is known here.
func MinorUnits(code string) (digits int, ok bool) {
	digits, ok = currencies[code]
	return digits, ok
}

// named returns the codes that a sign or code may mean, nil if it is none.
func named(text string) []string {
	if _, ok := currencies[text]; ok {
		return []string{text}
	}
	return signs[text]
}
