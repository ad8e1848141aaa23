package book

type Entry struct {
	Amount int64 `json:"amount"`
}

type Book struct{ entries map[string][]Entry }

func New() *Book { return &Book{entries: map[string][]Entry{}} }

func (b *Book) Add(account string, entry Entry) {
	b.entries[account] = append(b.entries[account], entry)
}

func (b *Book) Balance(account string) (sum int64) {
	for _, entry := range b.entries[account] {
		sum += entry.Amount
	}
	return sum
}
