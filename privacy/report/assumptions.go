package report

import (
	"fmt"

	"github.com/sotto-fl/sotto/privacy"
	"github.com/sotto-fl/sotto/privacy/ledger"
)

// Status says what stands behind an assumption.
type Status string

// The statuses.
const (
	Enforced Status = "enforced" // the ledger would not verify, or honest parties would have refused
	Attested Status = "attested" // a program that is named by its digest says so
	Assumed  Status = "assumed"  // nothing here shows it
)

// Assumption is something that the guarantee rests on.
type Assumption struct {
	What   string `json:"what"`
	Status Status `json:"status"`
	Why    string `json:"why"`
}

func assumptions(v *ledger.Verified) []Assumption {
	c, k := v.Contract, v.Plan.Committee
	if c.None() {
		return []Assumption{{"This run promises no privacy.", Enforced, "its contract says so"}}
	}
	a := []Assumption{
		{"What a round costs was fixed before round 1.", Enforced, "the plan is the ledger's first record"},
		{"No round was released beyond the budget.", Enforced, "each reservation was checked against it, and verification checks it again"},
		{"A crash cannot hide a release.", Enforced, "a round is charged before key holders are asked to open it"},
		{"The ledger is the one that others saw.", Assumed, "enforced for whoever compares it with a checkpoint that a client has pinned"},
	}
	if k != nil {
		a = append(a,
			Assumption{fmt.Sprintf("At least %d contributors are in every opened sum.", c.MinCohort), Enforced,
				fmt.Sprintf("%d of %d key holders signed each set, and verification checks their signatures", k.Threshold, len(k.Members))},
			Assumption{fmt.Sprintf("Fewer than %d key holders work with the server.", k.Threshold), Assumed, "if they do, the row for that adversary holds instead"})
	} else {
		a = append(a, Assumption{fmt.Sprintf("At least %d contributors are in every opened sum.", c.MinCohort), Attested, "the server says so; no key holders signed"})
	}
	if c.Lane == privacy.LocalDPSGD {
		a = append(a, Assumption{"Each owner's noise is complete by itself.", Attested, "by the program that it runs"})
	} else {
		a = append(a, Assumption{fmt.Sprintf("Besides a record's own owner, at least %s not collude add their noise.", plural(c.MinCohort-c.Colluders-1, "contributor who does", "contributors who do")), Assumed,
			"noise is not visible in one upload; extra noise is never credited"})
	}
	a = append(a, Assumption{"A record's own owner clips it and adds noise as the contract says.", Assumed, "nobody can protect a record from its owner"})
	if c.SamplingRate > 0 {
		a = append(a, Assumption{fmt.Sprintf("Each %s enters a round by its own secret coin of probability %g.", unit(c), c.SamplingRate), Attested,
			"by the owner's program; coins and batch sizes never leave it"})
	}
	return append(a,
		Assumption{"Noise is exact, in integers, from a 256-bit generator.", Attested, "sampler " + orUnknown(v.Plan.Sampler)},
		Assumption{"Sums are divided by constants of the contract, not by the cohort that happened.", Attested, "by the program"},
		Assumption{"Accuracy was measured on public data.", Attested, "by the server"},
		Assumption{"Other runs on the same data are charged elsewhere.", Assumed, "each data holder's own ledger adds them up"},
		Assumption{"Where the run stopped does not depend on private data.", Assumed, "otherwise the epsilon of the whole plan holds, which is printed too"},
	)
}

func limits(v *ledger.Verified) []string {
	c := v.Contract
	if c.None() {
		return []string{"Nothing limits what the model reveals about the data that it was trained on."}
	}
	l := []string{
		"What is true of the population can be learned, also about those who did not take part: that is what the model is for.",
		fmt.Sprintf("Zero-out adjacency: that a %s is in the pool, and its public metadata, are not protected; its content is.", unit(c)),
		"Epsilon is a worst case over all data and all attackers. It says nothing of bias, accuracy for subgroups, or of whether the purpose is right.",
		"Composition counts the rounds of this ledger. Choosing settings by other runs on the same data costs more; those runs have ledgers of their own.",
		"The ledger shows what its writer declared. That the program was the one whose digest it names is not proven here.",
	}
	if c.Unit != privacy.UnitClient {
		l = append(l, "That an owner (a hospital, a company) takes part is public. The guarantee is for its records.")
	}
	if c.Unit == privacy.UnitExample {
		l = append(l, "The unit is one record. A person with several records is protected less: for k records epsilon is up to k times larger.")
	}
	if v.Spread == nil && c.Lane != privacy.LaneB {
		l = append(l, "How often each client took part was not published; every client is charged as if it had taken part in every round.")
	}
	if v.Plan.Committee != nil && v.Plan.Committee.Corrupt == 0 {
		l = append(l, "The committee tolerates no dishonest key holder: one of them and the server can open updates.")
	}
	return l
}

func unit(c privacy.Contract) string {
	switch c.Unit {
	case privacy.UnitExample:
		return "record"
	case privacy.UnitGroup:
		return "person's or device's whole group of records"
	case privacy.UnitClient:
		return "participant"
	}
	return "unit"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func orUnknown(s string) string {
	if s == "" {
		return "not named"
	}
	return s
}
