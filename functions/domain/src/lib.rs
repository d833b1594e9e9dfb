//! The pure rules of Puntual.
//!
//! Facts, policy, jurisdiction and a moment come in; touches and verdicts come out. Nothing here reads a clock,
//! the environment, a disk or a random source, so that every decision can be made again from its inputs, in a
//! test, in the browser, or by an auditor.

pub mod calendar;
pub mod caps;
pub mod channel;
pub mod choice;
pub mod contact;
pub mod contact_check;
pub mod content_check;
pub mod csv_text;
pub mod customer;
pub mod decision;
#[cfg(test)]
mod decision_tests;
pub mod delivery;
pub mod email;
pub mod fact_record;
pub mod fence;
pub mod ids;
pub mod import;
pub mod jurisdiction;
pub mod ladder;
pub mod locale;
pub mod message;
pub mod money;
pub mod obligation;
pub mod phone;
pub mod planner;
#[cfg(test)]
mod planner_properties;
#[cfg(test)]
mod planner_scenarios;
pub mod policy;
pub mod policy_check;
pub mod policy_links;
pub mod policy_reach;
pub mod retention;
pub mod send_rate;
pub mod sms;
pub mod template;
pub mod tenant;
pub mod touch;
pub mod verdict;
pub mod zone;
