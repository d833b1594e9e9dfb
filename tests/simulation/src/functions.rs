//! The functions of the product, wired to the store, the queues and the provider of one world.
//!
//! Invariant: nothing here decides anything; these are the handlers that Lambda runs.

use std::sync::{Arc, PoisonError};

use channels::Sender;
use delivery::{Pace, Turns};
use domain::channel::Channel;
use domain::choice::OptOutKey;
use runtime::decision_log::DecisionLog;
use runtime::queue::Queue;
use runtime::rules::RulesCache;
use runtime::schedule::Schedules;
use store::{Store, SuppressionKey};

use crate::faults::{Provider, SceneTime, SimulatedQueue};
use crate::reports::tag_key;
use crate::scene::{Pipe, Scene};

/// The functions of one world.
pub(crate) struct Functions {
    pub(crate) store: Store,
    pub(crate) scan: scan_due::Deps,
    pub(crate) plan: plan_shard::Deps,
    pub(crate) email: delivery::Deps,
    pub(crate) sms: delivery::Deps,
    pub(crate) record: record_delivery::Deps,
    pub(crate) secret: SuppressionKey,
    pub(crate) decisions: DecisionLog,
}

impl Functions {
    pub(crate) fn over(store: Store, rules: RulesCache, scene: &Scene, paced: bool) -> Self {
        let queue = |pipe| Queue::Scripted(Arc::new(SimulatedQueue { scene: scene.clone(), pipe }));
        let (plan, email, sms) = (queue(Pipe::Plan), queue(Pipe::Email), queue(Pipe::Sms));
        let decisions = DecisionLog::memory();
        let secret = SuppressionKey::new(*b"simulation");
        let delivery_on = |channel| delivery::Deps {
            store: store.clone(),
            rules: rules.clone(),
            sender: Sender::Scripted(Arc::new(Provider { scene: scene.clone(), channel })),
            channel,
            email: email.clone(),
            sms: sms.clone(),
            suppression: secret.clone(),
            links: OptOutKey::new(*b"simulation"),
            decisions: decisions.clone(),
            pace: if paced {
                Pace::Scripted(Turns::default(), Arc::new(SceneTime(scene.clone())))
            } else {
                Pace::Still
            },
        };
        Self {
            scan: scan_due::Deps {
                store: store.clone(),
                rules: rules.clone(),
                plan,
                email: email.clone(),
                sms: sms.clone(),
                schedules: Schedules::Off,
            },
            plan: plan_shard::Deps {
                store: store.clone(),
                rules: rules.clone(),
                email: email.clone(),
                sms: sms.clone(),
                suppression: secret.clone(),
                decisions: decisions.clone(),
                schedules: Schedules::Off,
            },
            email: delivery_on(Channel::Email),
            sms: delivery_on(Channel::Sms),
            record: record_delivery::Deps {
                store: store.clone(),
                rules: rules.clone(),
                email: email.clone(),
                sms: sms.clone(),
                suppression: secret.clone(),
                tags: tag_key(),
            },
            store,
            secret,
            decisions,
        }
    }

    /// How many lines the decision log has.
    pub(crate) fn lines(&self) -> usize {
        match &self.decisions {
            DecisionLog::Memory(lines) => lines.lock().unwrap_or_else(PoisonError::into_inner).len(),
            DecisionLog::Off | DecisionLog::Journal(..) => 0,
        }
    }
}
