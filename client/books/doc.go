// Package books keeps a data holder's own account of what was spent on its data: over all runs, studies and servers. It
// is what a participant asks before it trains, and where it writes a round down before the upload leaves.
//
// The account is a ledger.Data in a folder of its own, by default .sotto inside the folder of the images: it goes where
// the data goes, and every client that is pointed at the data, for whatever server, finds the same one. Its stable name
// is drawn at random when it is made; neither it nor anything about the images is ever sent.
//
// The promises, in their order:
//
//   - Before it trains, a client has seen the server's signed checkpoint, that it continues the one seen before, and that
//     the round is reserved in it. A ledger that went back or was rewritten is refused, and both checkpoints are kept.
//   - A run is joined only if the budget bears all of its rounds; they are set aside at once, so that two runs at a time
//     cannot each count on the same budget.
//   - The charge is on disk before the first byte of an upload leaves. kill -9 at any moment leaves at least what was
//     released; an upload that is sent again costs nothing more.
//   - A charge is taken back only on the word of key holders, never on the server's.
//
// What it rests on: whoever can write the folder can remove it. It protects the data holder from servers and from its
// own mistakes, not from itself.
package books
