//! What holds across crates: the shape of the repository, and the main job end to end.

mod command_line;
mod delivery_races;
mod evidence;
mod fixture;
mod replay;
mod tidy;
mod vectors;
