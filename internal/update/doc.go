// Package update knows how a release gets into the place of the installed
// bundle, proves itself there, and is undone when it does not. It must never
// know HTTP, how processes are started, or the format of signed metadata.
//
// The straight walk, and where it is written:
//
//	check      walk.go      one small request, if nothing is new
//	judge      judge.go     rules: bytes and a time in, a verdict out
//	stage      stage.go     fetched through a pipe, hashed, on the disk, read again
//	qualify    walk.go      the new supervisor proves that it can update
//	again      walk.go      the repository is asked once more: is it still wanted?
//	exchange   exchange.go  intent in the journal, one system call
//	trial      trial.go     in a new process: a short look, a cold start, the window
//	commit or revert        the journal, or the exchange again
//
// A process that was replaced ends with ErrHandOver, and its successor begins
// with Open. Everything that can fail comes before the exchange. For what comes
// after it there are four who undo a bad release: Run (the trial failed), Open
// (it was started too often), the rescue job (it gives no sign of life), and
// the next Open (one of them was cut off).
//
// What a release did is held against it for good. What the machine may have done
// (Failure.Doubt) is for an hour, and the second time for good; what the machine
// did (an error of Trial, Stumble) for a while, and never for good.
//
// Beside the live bundle lies one other (sight.go): what is staged, and from the
// exchange on what was replaced, until the next release needs the room.
//
// What a crash leaves is judged by what lies there, read byte by byte (decide,
// in recover.go); the journal says only what was meant. At every instant one
// whole bundle is at the live path:
//
//	journal.write Exchanged   live is From    a start forgets it
//	RENAME_EXCHANGE           live is To      a start puts it on trial
//	journal.write OnTrial     live is To
//	journal.write Reverted    live is To      a start exchanges back
//	RENAME_EXCHANGE           live is From    a start stops what is left of To
package update
