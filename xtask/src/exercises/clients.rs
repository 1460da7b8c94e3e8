//! What the exercises share whose program is the client of a stream: the check is its server.

use crate::scene::{Misconception, Outcome, Peer, Port, Scene, Settled, Stop};

/// The names of these two are the same in all exercises about clients.
pub const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until something comes, or there is room",
    why: "A descriptor that does not block says EAGAIN where there is nothing yet, and \
          asking on keeps the processor busy with nothing; and so does poll for one that \
          has reached its end: it is readable for ever. Sleep in read and write, or in \
          poll for those that matter.",
    lesson: "28_stream",
};

pub const SPINS_AT_END: Misconception = Misconception {
    name: "spins-at-end",
    expected: "a read of 0 is the last one",
    why: "0 from read(2) means that nothing will come any more, and it returns at once, \
          as often as it is called. Where there is nothing yet, read waits.",
    lesson: "28_stream",
};

/// Waits until all is at rest.
pub fn rest(scene: &mut Scene) -> Outcome {
    match scene.settle()? {
        Settled::Busy => {
            Err(ASKS_AGAIN.seen(format!("nothing happens; {}", scene.doing())))
        }
        _ => Ok(()),
    }
}

/// Waits until the program, which has been started, has connected and is at rest; if it does not,
/// or does something else, that is `output`.
pub fn connected(
    scene: &mut Scene,
    port: Port,
    output: &Misconception,
) -> Result<Peer, Stop> {
    let Some(peer) = scene.wait_for_arrival(port)? else {
        let seen = scene.so_far("the start") + "; it has not connected";
        return Err(output.seen(seen));
    };
    rest(scene)?;
    match scene.heard(peer).is_empty() && scene.exit().is_none() {
        true => Ok(peer),
        false => Err(output.seen(scene.so_far("the connection, and nothing else,"))),
    }
}

/// Whether the program lives, has read all that there is, and waits.
pub fn is_idle(scene: &Scene, peer: Peer) -> bool {
    scene.exit().is_none() && scene.untaken(peer) == 0
}
