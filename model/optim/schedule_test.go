package optim

import (
	"math"
	"strings"
	"testing"
)

// Worked by hand from the definitions.
func TestRate(t *testing.T) {
	plateau := Schedule{Kind: Plateau, Factor: 0.5, Patience: 1, MinDelta: 0.1}
	for name, test := range map[string]struct {
		s           Schedule
		step, total int
		history     []float64
		want        float64
	}{
		"empty":                  {Schedule{}, 7, 10, nil, 0.8},
		"constant":               {Schedule{Kind: Constant}, 7, 10, nil, 0.8},
		"step before":            {Schedule{Kind: Step, Every: 3, Factor: 0.5}, 2, 10, nil, 0.8},
		"step at":                {Schedule{Kind: Step, Every: 3, Factor: 0.5}, 3, 10, nil, 0.4},
		"step twice":             {Schedule{Kind: Step, Every: 3, Factor: 0.5}, 8, 10, nil, 0.2},
		"step floor":             {Schedule{Kind: Step, Every: 1, Factor: 0.5, Floor: 0.3}, 8, 10, nil, 0.3},
		"floor above base":       {Schedule{Kind: Step, Every: 1, Factor: 0.5, Floor: 9}, 8, 10, nil, 0.8},
		"cosine start":           {Schedule{Kind: Cosine}, 0, 10, nil, 0.8},
		"cosine half":            {Schedule{Kind: Cosine}, 5, 10, nil, 0.4},
		"cosine third":           {Schedule{Kind: Cosine, Floor: 0.2}, 3, 9, nil, 0.2 + 0.6*0.75},
		"cosine end":             {Schedule{Kind: Cosine, Floor: 0.2}, 10, 10, nil, 0.2},
		"cosine beyond":          {Schedule{Kind: Cosine}, 15, 10, nil, 0},
		"cosine of nothing":      {Schedule{Kind: Cosine}, 0, 0, nil, 0.8},
		"plateau empty":          {plateau, 0, 10, nil, 0.8},
		"plateau falling":        {plateau, 3, 10, []float64{3, 2, 1}, 0.8},
		"plateau one bad":        {plateau, 3, 10, []float64{3, 2, 2}, 0.8},
		"plateau two bad":        {plateau, 4, 10, []float64{3, 2, 2, 1.95}, 0.4},
		"plateau reset by a low": {plateau, 6, 10, []float64{3, 2, 2, 1, 1, 0.5}, 0.8},
		"plateau four bad":       {plateau, 6, 10, []float64{3, 2, 2, 2, 2, 2}, 0.2},
		"plateau nan":            {plateau, 3, 10, []float64{1, math.NaN(), math.NaN()}, 0.4},
		"plateau floor":          {Schedule{Kind: Plateau, Factor: 0.5, Floor: 0.7}, 3, 10, []float64{1, 1, 1, 1}, 0.7},
	} {
		if err := test.s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := test.s.Rate(0.8, test.step, test.total, test.history); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: rate is %v, want %v", name, got, test.want)
		}
	}
}

func TestEarlyStopping(t *testing.T) {
	for name, test := range map[string]struct {
		e       EarlyStopping
		history []float64
		want    bool
	}{
		"off":          {EarlyStopping{}, []float64{1, 2, 3, 4}, false},
		"empty":        {EarlyStopping{Patience: 1}, nil, false},
		"falling":      {EarlyStopping{Patience: 1}, []float64{3, 2, 1}, false},
		"flat":         {EarlyStopping{Patience: 2}, []float64{1, 1, 1}, true},
		"not yet":      {EarlyStopping{Patience: 3}, []float64{1, 1, 1}, false},
		"small falls":  {EarlyStopping{Patience: 2, MinDelta: 0.5}, []float64{1, 0.8, 0.6}, true},
		"slow but sum": {EarlyStopping{Patience: 3, MinDelta: 0.5}, []float64{1, 0.8, 0.4, 0.4}, false},
		"nan":          {EarlyStopping{Patience: 2}, []float64{math.NaN(), math.NaN()}, true},
	} {
		if got := test.e.Stop(test.history); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestScheduleProblems(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{Schedule{Kind: "linear"}.Validate(), `kind: got "linear"`},
		{Schedule{Kind: Step, Factor: 0.5}.Validate(), "every: got 0"},
		{Schedule{Kind: Step, Every: 1, Factor: 1}.Validate(), "factor: got 1"},
		{Schedule{Kind: Cosine, Factor: 0.5}.Validate(), "factor: kind cosine does not use it"},
		{Schedule{Kind: Plateau, Factor: 0.5, Patience: -1}.Validate(), "patience: got -1"},
		{Schedule{Kind: Plateau, Factor: 0.5, MinDelta: math.NaN()}.Validate(), "min_delta: got NaN"},
		{Schedule{Kind: Cosine, Floor: math.Inf(1)}.Validate(), "floor: got +Inf"},
		{EarlyStopping{Patience: -1}.Validate(), "patience: got -1"},
		{EarlyStopping{MinDelta: -1}.Validate(), "min_delta: got -1"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("got %v, want %q", test.err, test.want)
		}
	}
}
