//! What holds across crates: the shape of the repository, and the main job end to end.

mod choices;
mod command_line;
mod delivery_events;
mod delivery_races;
mod delivery_waits;
mod evidence;
mod fixture;
mod pauses;
mod policy_texts;
mod replay;
mod tidy;
mod vectors;
