//! What holds across crates: the shape of the repository, and the main job end to end.

// The future of a handler is deep, and its layout is computed for the whole of a test.
#![recursion_limit = "256"]

mod choices;
mod command_line;
mod costs;
mod dead_letters;
mod delivery_abandoned;
mod delivery_again;
mod delivery_events;
mod delivery_races;
mod delivery_waits;
mod evidence;
mod fixture;
mod killed;
mod pauses;
mod policy_texts;
mod replay;
mod stopped_by_reply;
mod template;
mod text_gate;
mod tidy;
mod unknown;
mod unreadable;
mod up;
mod vectors;
