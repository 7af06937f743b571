package ledger

// DataSet is the first record of a data holder's ledger.
type DataSet struct {
	ID string `json:"id"`
}

func (*DataSet) Kind() string      { return "data-set" }
func (r *DataSet) validate() error { return text("id", r.ID, 1) }

func emptyData(kind string) Record {
	switch kind {
	case "data-set":
		return new(DataSet)
	}
	return nil
}
