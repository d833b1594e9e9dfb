//! Some worlds keep every promise, and a world is its seed.

use simulation::{Options, Simulator, Totals};

/// How many worlds are run here; the command line runs more.
const SEEDS: u64 = 200;

#[test]
fn every_world_keeps_its_promises() {
    let mut simulator = Simulator::new().expect("a database in memory");
    let mut totals = Totals::default();
    for seed in 0..SEEDS {
        let report = simulator.run(seed, Options::default()).expect("the database works");
        let broken: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(broken.is_empty(), "seed {seed}: {broken:?}; cargo puntual simulate --seed {seed} --verbose");
        totals.add(&report);
    }
    // Worlds in which nothing happens would keep every promise, too.
    assert!(totals.sends > SEEDS && totals.crashes > SEEDS, "{totals:?}");
    assert!(totals.words > 0 && totals.erasures > 0, "{totals:?}");
    assert!(totals.unknown_reported > 0 && totals.prevented > 0 && totals.dead_letters > 0, "{totals:?}");
}

#[test]
fn a_seed_gives_the_same_world_every_time() {
    let trace = |warm_up: u64, seed| {
        let mut simulator = Simulator::new().expect("a database in memory");
        for other in 0..warm_up {
            simulator.run(other + 1_000, Options::default()).expect("the database works");
        }
        simulator.run(seed, Options::traced(true)).expect("the database works").trace
    };
    for seed in 0..5 {
        let first = trace(0, seed);
        assert!(first.len() > 20, "seed {seed} does almost nothing");
        assert_eq!(first, trace(3, seed), "seed {seed} depends on what ran before it");
    }
}
