//! Batches: what a queue gives to its function, and when it gives up.
//!
//! Invariant: a message that is given out stays hidden for a while, and lies with the dead letters after so many times.

use crate::run::FUNCTION_MS_MAX;
use crate::scene::{Message, Pipe, State};

/// How long a message that was given out stays hidden, in milliseconds: six times what the function may take.
const VISIBILITY_MS: i64 = 6 * FUNCTION_MS_MAX;
/// How often a message is given out before it goes to the dead letters.
const RECEIVES_MAX: u32 = 5;
/// The most messages of one batch.
const BATCH_MAX: usize = 10;

/// Takes some messages that may be given out, in any order.
pub(crate) fn take_batch(state: &mut State, pipe: Pipe) -> Vec<u64> {
    let now = state.now;
    let is_there = |m: &Message| m.pipe == pipe && m.visible_at <= now;
    let mut ids = Vec::new();
    // It is asked before every step, and mostly there is none.
    if !state.messages.iter().any(is_there) {
        return ids;
    }
    let (mut there, kept): (Vec<Message>, Vec<Message>) =
        std::mem::take(&mut state.messages).into_iter().partition(is_there);
    state.messages = kept;
    let most = 1 + state.dice.below(BATCH_MAX);
    while !there.is_empty() {
        let mut message = there.swap_remove(state.dice.below(there.len()));
        if ids.len() < most {
            message.receives += 1;
            if message.receives > RECEIVES_MAX {
                state.note(|| format!("dead letter: {} of {}", message.id, message.pipe.function()));
                state.dead_letters.push(message);
                continue;
            }
            message.visible_at = now + VISIBILITY_MS;
            ids.push(message.id);
        }
        state.messages.push(message);
    }
    ids
}
