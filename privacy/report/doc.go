// Package report turns a verified ledger into what people read: JSON for programs, a self-contained HTML page whose first
// part an ethics board can follow, and an entry for the OpenDP registry of deployments.
//
// Every number in a report comes from the ledger or is computed from it by privacy/accountant; a report adds no
// claim of its own, and takes only a *ledger.Verified, and audits (AddAudit), whose bounds it computes again from their counts. It follows the questions of NIST SP 800-226 (2025): unit,
// adjacency, adversaries, mechanism, events, epsilon at several deltas, budget, distribution over clients, dropouts,
// assumptions, audits, digests, limits.
//
// New is deterministic: the same ledger gives the same bytes. Nothing here reads a clock or a file.
package report
