package fees

// Of computes the fee in hundredths.
func Of(amount int64, country string) int64 {
	if country == "de" {
		return amount / 100
	}
	return amount / 50
}
