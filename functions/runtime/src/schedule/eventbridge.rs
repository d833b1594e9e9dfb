//! Schedules of EventBridge Scheduler, all in one group.
//!
//! Invariant: every schedule calls the same function through the same role, without a flexible window, and what could
//! not be delivered goes to the dead-letter queue. One that differs in any of it counts as changed by hand.

use aws_sdk_scheduler::error::{DisplayErrorContext, SdkError};
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy,
    ScheduleState, Target,
};
use aws_sdk_scheduler::{Client, error::BuildError};

use super::{Put, Rule, Schedule, ScheduleError};

/// How many schedules one page lists.
const LIST_PAGE: i32 = 100;
/// The most pages that are listed.
const LIST_PAGES_MAX: usize = 100;
/// How old an event may be when it is still delivered, in seconds.
const EVENT_AGE_SECONDS_MAX: i32 = 3_600;
/// How often the delivery of an event is tried again.
const DELIVERY_RETRIES_MAX: i32 = 10;

/// What the schedules of a stage call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleTarget {
    /// The group that the schedules are in.
    pub group: String,
    /// The address of the function `scan-due`.
    pub function_arn: String,
    /// The role that EventBridge Scheduler calls it with.
    pub role_arn: String,
    /// The queue of what could not be delivered.
    pub dead_letter_arn: String,
}

/// The schedules of one group.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    target: ScheduleTarget,
}

impl EventBridge {
    /// The schedules of a group.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, target: ScheduleTarget) -> Self {
        Self { client: Client::new(config), target }
    }

    pub(super) async fn put(&self, schedule: &Schedule) -> Result<Put, ScheduleError> {
        let found =
            self.client.get_schedule().group_name(&self.target.group).name(&schedule.name).send().await;
        match found {
            Ok(found) if self.is_as_wanted(&found, schedule) => Ok(Put::Kept),
            Ok(_) => self.update(schedule).await.map(|()| Put::Updated),
            Err(SdkError::ServiceError(e)) if e.err().is_resource_not_found_exception() => {
                match self.create(schedule).await {
                    // Somebody else made it in between: it may be as it was wanted then.
                    Ok(false) => self.update(schedule).await.map(|()| Put::Updated),
                    Ok(true) => Ok(Put::Created),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(refused(&schedule.name, "read", &error)),
        }
    }

    /// Makes a schedule of one moment, which removes itself. One that is there already has the same moment in its name.
    pub(super) async fn create_once(&self, schedule: &Schedule) -> Result<(), ScheduleError> {
        self.create(schedule).await.map(|_| ())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ScheduleError> {
        match self.client.delete_schedule().group_name(&self.target.group).name(name).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(e)) if e.err().is_resource_not_found_exception() => Ok(()),
            Err(error) => Err(refused(name, "removed", &error)),
        }
    }

    pub(super) async fn names(&self, prefix: &'static str) -> Result<Vec<String>, ScheduleError> {
        let mut names = Vec::new();
        let mut token = None;
        for _ in 0..LIST_PAGES_MAX {
            let request = self.client.list_schedules().group_name(&self.target.group).name_prefix(prefix);
            let page = request.max_results(LIST_PAGE).set_next_token(token).send().await;
            let page = page.map_err(|error| refused(prefix, "listed", &error))?;
            names.extend(page.schedules.into_iter().filter_map(|s| s.name));
            token = page.next_token;
            if token.is_none() {
                return Ok(names);
            }
        }
        Err(ScheduleError::TooMany { prefix, pages_max: LIST_PAGES_MAX })
    }

    /// Makes a schedule; `false` where one of this name is there.
    async fn create(&self, schedule: &Schedule) -> Result<bool, ScheduleError> {
        let request = self
            .client
            .create_schedule()
            .group_name(&self.target.group)
            .name(&schedule.name)
            .schedule_expression(schedule.rule.expression())
            .schedule_expression_timezone(schedule.rule.zone_name())
            .state(state(schedule))
            .flexible_time_window(window(schedule)?)
            .action_after_completion(after(schedule))
            .target(self.target_of(schedule)?);
        match request.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(e)) if e.err().is_conflict_exception() => Ok(false),
            Err(error) => Err(refused(&schedule.name, "made", &error)),
        }
    }

    async fn update(&self, schedule: &Schedule) -> Result<(), ScheduleError> {
        let request = self
            .client
            .update_schedule()
            .group_name(&self.target.group)
            .name(&schedule.name)
            .schedule_expression(schedule.rule.expression())
            .schedule_expression_timezone(schedule.rule.zone_name())
            .state(state(schedule))
            .flexible_time_window(window(schedule)?)
            .action_after_completion(after(schedule))
            .target(self.target_of(schedule)?);
        request.send().await.map(|_| ()).map_err(|error| refused(&schedule.name, "changed", &error))
    }

    fn target_of(&self, schedule: &Schedule) -> Result<Target, ScheduleError> {
        let retries = RetryPolicy::builder()
            .maximum_event_age_in_seconds(EVENT_AGE_SECONDS_MAX)
            .maximum_retry_attempts(DELIVERY_RETRIES_MAX);
        Target::builder()
            .arn(&self.target.function_arn)
            .role_arn(&self.target.role_arn)
            .dead_letter_config(DeadLetterConfig::builder().arn(&self.target.dead_letter_arn).build())
            .retry_policy(retries.build())
            .input(input(schedule))
            .build()
            .map_err(|error| unbuilt(schedule, &error))
    }

    fn is_as_wanted(&self, found: &GetScheduleOutput, wanted: &Schedule) -> bool {
        let Ok(target) = self.target_of(wanted) else { return false };
        found.schedule_expression() == Some(wanted.rule.expression().as_str())
            && found.schedule_expression_timezone() == Some(wanted.rule.zone_name())
            && found.state() == Some(&state(wanted))
            && found.flexible_time_window().map(FlexibleTimeWindow::mode)
                == Some(&FlexibleTimeWindowMode::Off)
            && found.start_date().is_none()
            && found.end_date().is_none()
            && found.target() == Some(&target)
    }
}

/// What the function is called with.
fn input(schedule: &Schedule) -> String {
    serde_json::to_string(&schedule.event).expect("an event has only texts and numbers")
}

fn state(schedule: &Schedule) -> ScheduleState {
    if schedule.enabled { ScheduleState::Enabled } else { ScheduleState::Disabled }
}

fn after(schedule: &Schedule) -> ActionAfterCompletion {
    match schedule.rule {
        Rule::Once { .. } => ActionAfterCompletion::Delete,
        Rule::Daily { .. } | Rule::Every { .. } => ActionAfterCompletion::None,
    }
}

fn window(schedule: &Schedule) -> Result<FlexibleTimeWindow, ScheduleError> {
    let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build();
    window.map_err(|error| unbuilt(schedule, &error))
}

fn unbuilt(schedule: &Schedule, error: &BuildError) -> ScheduleError {
    ScheduleError::Refused { name: schedule.name.clone(), verb: "written", problem: error.to_string() }
}

fn refused<E: std::error::Error + 'static, R: std::fmt::Debug + 'static>(
    name: &str,
    verb: &'static str,
    error: &SdkError<E, R>,
) -> ScheduleError {
    ScheduleError::Refused { name: name.to_owned(), verb, problem: DisplayErrorContext(error).to_string() }
}

#[cfg(test)]
mod tests;
