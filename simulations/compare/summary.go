package compare

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/sotto-fl/sotto/internal/term"
)

// Interval is a mean over seeds and the half-width of its 95 % interval, by Student's t.
type Interval struct {
	Mean, Half float64
	N          int // seeds that it is taken over
}

// student is t at 0.975 for 1 to 10 degrees of freedom.
var student = [...]float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228}

func interval(v []float64) Interval {
	n := float64(len(v))
	if n == 0 {
		return Interval{Mean: math.NaN(), Half: math.NaN()}
	}
	var mean, squares float64
	for _, x := range v {
		mean += x / n
	}
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	if n == 1 {
		return Interval{mean, math.NaN(), 1}
	}
	t := 1.96 + 2.5/(n-1) // close from above beyond the table
	if len(v)-2 < len(student) {
		t = student[len(v)-2]
	}
	return Interval{mean, t * math.Sqrt(squares/(n-1)/n), len(v)}
}

// Summary is one policy over all seeds. Costs are up to the target; the intervals'
// N says how many seeds reached it. The rest is over all rounds.
type Summary struct {
	Policy                                 string
	Device, Both, Grams, Seconds, Rounds   Interval
	Waiting                                Interval // share of Device
	Idle                                   Interval
	Ratio                                  Interval // Device over that of the reference, seed by seed
	First                                  Interval // Device of the first policy over this one's, seed by seed
	Regret, Jain, Gini, GiniWork, Dropouts Interval
	GiniDone, Flat, AllGrams               Interval
	Accuracy, Decile                       Interval
	AccuracyDelta, JainRatio               Interval // beside the reference, seed by seed
}

// Summarise takes runs of the same seeds in the same order for each policy. Ratios are
// to reference, one of the policies.
func Summarise(runs map[string][]*Run, policies []string, reference string) []Summary {
	var all []Summary
	for _, name := range policies {
		s := Summary{Policy: name}
		var device, both, grams, seconds, rounds, waiting, idle, ratio, first []float64
		for k, r := range runs[name] {
			c, ok := r.At()
			if !ok {
				continue
			}
			device, both, grams = append(device, c.Device), append(both, c.Device+c.Network), append(grams, c.Grams)
			seconds, rounds = append(seconds, c.Seconds), append(rounds, float64(c.Rounds))
			waiting, idle = append(waiting, c.Waiting/c.Device), append(idle, c.Idle)
			if base, ok := runs[reference][k].At(); ok {
				ratio = append(ratio, c.Device/base.Device)
			}
			if ours, ok := runs[policies[0]][k].At(); ok {
				first = append(first, ours.Device/c.Device)
			}
		}
		s.Device, s.Both, s.Grams, s.Seconds, s.Rounds = interval(device), interval(both), interval(grams), interval(seconds), interval(rounds)
		s.Waiting, s.Idle, s.Ratio, s.First = interval(waiting), interval(idle), interval(ratio), interval(first)
		of := func(f func(k int, r *Run) float64) Interval {
			var v []float64
			for k, r := range runs[name] {
				v = append(v, f(k, r))
			}
			return interval(v)
		}
		last := func(r *Run) float64 { return r.Rounds[len(r.Rounds)-1].Accuracy }
		s.Regret = of(func(_ int, r *Run) float64 { return r.Regret })
		s.Jain = of(func(_ int, r *Run) float64 { return r.Jain })
		s.Gini = of(func(_ int, r *Run) float64 { return r.Gini })
		s.GiniWork = of(func(_ int, r *Run) float64 { return r.GiniWork })
		s.GiniDone = of(func(_ int, r *Run) float64 { return r.GiniDone })
		s.Dropouts = of(func(_ int, r *Run) float64 { return float64(r.Dropouts) })
		s.Flat = of(func(_ int, r *Run) float64 { return float64(r.Flat) })
		s.AllGrams = of(func(_ int, r *Run) float64 { return r.Rounds[len(r.Rounds)-1].Grams })
		s.Decile = of(func(_ int, r *Run) float64 { return r.Decile })
		s.Accuracy = of(func(_ int, r *Run) float64 { return last(r) })
		s.AccuracyDelta = of(func(k int, r *Run) float64 { return last(r) - last(runs[reference][k]) })
		s.JainRatio = of(func(k int, r *Run) float64 { return r.Jain / runs[reference][k].Jain })
		all = append(all, s)
	}
	return all
}

// text writes mean ± half with so many decimals.
func (v Interval) text(scale float64, decimals int) string {
	switch {
	case v.N == 0:
		return "never"
	case v.N == 1:
		return fixed(v.Mean*scale, decimals)
	}
	return fixed(v.Mean*scale, decimals) + " ± " + fixed(v.Half*scale, decimals)
}

// fixed has no negative zero: sums that should be equal differ by rounding.
func fixed(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return s
}

// WriteTables writes what it took up to the target, and how evenly, for people.
func WriteTables(w io.Writer, all []Summary, reference string, seeds int) error {
	var costs, even [][]string
	for _, s := range all {
		costs = append(costs, []string{
			s.Policy, fmt.Sprintf("%d/%d", s.Device.N, seeds), s.Rounds.text(1, 1), s.Device.text(1e-3, 2), s.Both.text(1e-3, 2), s.Grams.text(1, 2),
			s.Seconds.text(1.0/60, 1), s.Ratio.text(1, 3), s.First.text(1, 3), s.Waiting.text(100, 2), s.Idle.text(1e-3, 1),
		})
		even = append(even, []string{
			s.Policy, s.Regret.text(100, 2), s.Jain.text(1, 3), s.JainRatio.text(1, 3), s.Gini.text(1, 3), s.GiniWork.text(1, 3), s.GiniDone.text(1, 3), s.Dropouts.text(1, 1),
			s.Accuracy.text(100, 2), s.AccuracyDelta.text(100, 2), s.Decile.text(100, 1), s.AllGrams.text(1, 1),
		})
	}
	if err := term.Table(w, []string{"to the target", "reached", "rounds", "kJ", "kJ + network", "gCO2e", "minutes", "kJ / " + reference, all[0].Policy + " / it", "waiting %", "idle kJ"}, costs); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return term.Table(w, []string{"all rounds", "regret %", "Jain", "/ " + reference, "Gini", "Gini of joules", "of tasks", "dropouts", "accuracy %", "- " + reference, "worst decile %", "gCO2e"}, even)
}

// WriteSummary writes every interval: mean, half-width and the seeds that it is taken over.
// Joules, grams, seconds and rounds are up to the target, the rest over all rounds.
func WriteSummary(w io.Writer, all []Summary) error {
	c := csv.NewWriter(w)
	c.Write([]string{"policy", "figure", "mean", "half_width_95", "seeds"})
	f := func(v float64) string { return strconv.FormatFloat(v, 'g', 8, 64) }
	for _, s := range all {
		for _, x := range []struct {
			name string
			v    Interval
		}{
			{"rounds", s.Rounds}, {"device_joules", s.Device}, {"device_and_network_joules", s.Both}, {"grams_co2e", s.Grams}, {"seconds", s.Seconds},
			{"joules_ratio_to_reference", s.Ratio}, {"joules_ratio_first_policy_to_this", s.First}, {"waiting_share", s.Waiting}, {"idle_joules", s.Idle},
			{"regret", s.Regret}, {"jain", s.Jain}, {"jain_ratio_to_reference", s.JainRatio}, {"gini", s.Gini}, {"gini_joules", s.GiniWork}, {"gini_tasks", s.GiniDone},
			{"dropouts", s.Dropouts}, {"flat_batteries", s.Flat}, {"grams_co2e_all_rounds", s.AllGrams}, {"accuracy", s.Accuracy}, {"accuracy_less_reference", s.AccuracyDelta}, {"worst_decile", s.Decile},
		} {
			c.Write([]string{s.Policy, x.name, f(x.v.Mean), f(x.v.Half), strconv.Itoa(x.v.N)})
		}
	}
	c.Flush()
	return c.Error()
}

// WriteCSV writes every round of every run.
func WriteCSV(w io.Writer, runs map[string][]*Run, policies []string) error {
	c := csv.NewWriter(w)
	c.Write([]string{"policy", "seed", "round", "accuracy", "seconds", "device_joules", "network_joules", "grams_co2e", "waiting_joules", "wasted_joules", "idle_joules", "tier", "reached", "regret", "jain", "gini", "gini_joules", "gini_tasks", "dropouts", "flat_batteries", "worst_decile"})
	f := func(v float64) string { return strconv.FormatFloat(v, 'g', 8, 64) }
	for _, name := range policies {
		for _, r := range runs[name] {
			for n, x := range r.Rounds {
				row := []string{name, strconv.FormatUint(r.Seed, 10), strconv.Itoa(n + 1), f(x.Accuracy), f(x.Seconds), f(x.Device), f(x.Network), f(x.Grams), f(x.Waiting), f(x.Wasted), f(x.Idle), "power profile",
					strconv.FormatBool(r.Reached > 0 && n+1 >= r.Reached), "", "", "", "", "", "", "", ""}
				if n == len(r.Rounds)-1 {
					copy(row[13:], []string{f(r.Regret), f(r.Jain), f(r.Gini), f(r.GiniWork), f(r.GiniDone), strconv.Itoa(r.Dropouts), strconv.Itoa(r.Flat), f(r.Decile)})
				}
				c.Write(row)
			}
		}
	}
	c.Flush()
	return c.Error()
}
