//! Tenants and their settings, uploads, and requests that come twice.

use domain::ids::ImportId;

use super::*;
use crate::{
    Answer, Begun, ChangeOf, ErrorClass, ImportCounts, REQUEST_LEASE_SECONDS, SettingsDoc, SettingsWritten,
    TenantAction, Upload, UploadReport, UploadState,
};

on_every_backend!(
    a_change_is_stored_listed_and_on_record_together,
    of_two_changes_of_one_version_one_is_stored,
    a_deleted_tenant_is_gone_and_its_id_is_never_given_out_again,
    tenants_are_listed_in_pages,
    an_upload_goes_from_waiting_to_what_became_of_it,
    uploads_are_listed_the_newest_first,
    a_request_that_comes_twice_has_one_answer,
    a_wave_finds_the_next_one_after_it,
);

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn change(action: TenantAction, hour: u32) -> ChangeOf {
    ChangeOf { action, by: "sub-1".to_owned(), at: at(0, hour), reason: None }
}

fn stored(written: SettingsWritten) -> SettingsDoc {
    match written {
        SettingsWritten::Done(doc) => doc,
        SettingsWritten::Moved => panic!("expected it to be stored"),
    }
}

async fn created(store: &Store, id: &str, document: &str) -> SettingsDoc {
    let of = change(TenantAction::Created, 1);
    stored(store.change_settings(&tenant(id), None, document.to_owned(), of).await.unwrap())
}

async fn a_change_is_stored_listed_and_on_record_together(store: &Store) {
    let id = tenant("andino");
    let first = created(store, "andino", "{\"shards\":2}").await;
    assert_eq!((first.version, store.settings(&id).await.unwrap()), (1, Some(first.clone())));
    let paused = ChangeOf { reason: Some("audit".to_owned()), ..change(TenantAction::Paused, 2) };
    let second = store.change_settings(&id, Some(&first), "{\"shards\":3}".to_owned(), paused).await.unwrap();
    let second = stored(second);
    let history = store.settings_history(&id).await.unwrap();
    let told: Vec<_> =
        history.iter().map(|c| (c.action, c.from_version, c.version, c.reason.as_deref())).collect();
    assert_eq!(told, [(TenantAction::Created, 0, 1, None), (TenantAction::Paused, 1, 2, Some("audit"))]);
    assert_eq!((history[1].by.as_str(), history[1].settings.as_str()), ("sub-1", "{\"shards\":3}"));
    let fewer = change(TenantAction::Changed, 3);
    let fewer =
        store.change_settings(&id, Some(&second), "{\"shards\":1}".to_owned(), fewer).await.unwrap_err();
    assert_eq!(fewer.class(), ErrorClass::Conflict);
}

async fn of_two_changes_of_one_version_one_is_stored(store: &Store) {
    let first = created(store, "a", "{}").await;
    let second = |text: &str| (text.to_owned(), change(TenantAction::Changed, 2));
    let (text, by) = second("{\"x\":1}");
    stored(store.change_settings(&tenant("a"), Some(&first), text, by).await.unwrap());
    let (text, by) = second("{\"x\":2}");
    let late = store.change_settings(&tenant("a"), Some(&first), text, by).await;
    assert_eq!(late, Ok(SettingsWritten::Moved));
    let again =
        store.change_settings(&tenant("a"), None, "{}".to_owned(), change(TenantAction::Created, 3)).await;
    assert_eq!(again, Ok(SettingsWritten::Moved));
    assert_eq!(
        store.settings_history(&tenant("a")).await.unwrap().len(),
        2,
        "what was refused left no entry"
    );
}

async fn a_deleted_tenant_is_gone_and_its_id_is_never_given_out_again(store: &Store) {
    let id = tenant("a");
    let doc = created(store, "a", "{}").await;
    let stale = SettingsDoc { version: 7, document: "{}".to_owned() };
    let late = store.delete_tenant(&id, &stale, change(TenantAction::Deleted, 2)).await;
    assert_eq!(late, Ok(SettingsWritten::Moved));
    let gone = stored(store.delete_tenant(&id, &doc, change(TenantAction::Deleted, 2)).await.unwrap());
    assert_eq!(store.settings(&id).await, Ok(None));
    assert_eq!(store.tenants_page(None, 10).await.unwrap().tenants, []);
    let again = store.change_settings(&id, None, "{}".to_owned(), change(TenantAction::Created, 3)).await;
    assert_eq!(again, Ok(SettingsWritten::Moved));
    let revived =
        store.change_settings(&id, Some(&gone), "{}".to_owned(), change(TenantAction::Changed, 3)).await;
    assert_eq!(revived, Ok(SettingsWritten::Moved));
    assert_eq!(store.settings_history(&id).await.unwrap().len(), 2);
}

async fn tenants_are_listed_in_pages(store: &Store) {
    for id in ["c", "a", "b#x"] {
        created(store, id, "{}").await;
    }
    let first = store.tenants_page(None, 2).await.unwrap();
    assert_eq!(first.tenants, [tenant("a"), tenant("b#x")]);
    let rest = store.tenants_page(first.next.as_ref(), 2).await.unwrap();
    assert_eq!((rest.tenants, rest.next), (vec![tenant("c")], None));
}

fn upload(hour: u32) -> Upload {
    let requested_at = at(0, hour);
    let ms = u64::try_from(requested_at.timestamp_millis()).unwrap();
    Upload { id: ImportId::of(ms, 7), sequence: Some(9), requested_by: "sub-1".to_owned(), requested_at }
}

async fn an_upload_goes_from_waiting_to_what_became_of_it(store: &Store) {
    let (id, expected) = (tenant("a"), upload(1));
    let unknown = store.begin_upload(&id, &expected.id, "key").await.unwrap_err();
    assert_eq!(unknown.class(), ErrorClass::Conflict);
    store.expect_upload(&id, &expected).await.unwrap();
    assert_eq!(store.expect_upload(&id, &expected).await.unwrap_err().class(), ErrorClass::Conflict);
    let state = async || store.upload(&id, &expected.id).await.unwrap().unwrap().state;
    assert_eq!(state().await, UploadState::Waiting);
    store.refuse_upload(&id, &expected.id, "the file is empty").await.unwrap();
    assert_eq!(state().await, UploadState::Refused { problem: "the file is empty".to_owned() });
    store.begin_upload(&id, &expected.id, "key").await.unwrap();
    assert_eq!(state().await, UploadState::Reading { import_key: "key".to_owned() });
    let counts = ImportCounts::default();
    let report = UploadReport { rows: 3, bad: 1, repeated: 0, already_imported: false, counts };
    store.finish_upload(&id, &expected.id, &report).await.unwrap();
    let found = store.upload(&id, &expected.id).await.unwrap().unwrap();
    assert_eq!((found.upload, found.state), (expected.clone(), UploadState::Done(report)));
    assert_eq!(store.upload(&tenant("b"), &expected.id).await, Ok(None));
    assert_eq!(store.import_state(&id, "key").await, Ok(None));
    store.begin_import(&id, "key").await.unwrap();
    let begun = store.import_state(&id, "key").await;
    assert_eq!(begun, Ok(Some(crate::ImportState::InProgress { rows_done: 0 })));
}

async fn uploads_are_listed_the_newest_first(store: &Store) {
    for hour in [1, 3, 2] {
        store.expect_upload(&tenant("a"), &upload(hour)).await.unwrap();
    }
    let ids =
        |uploads: &[crate::UploadRecord]| uploads.iter().map(|u| u.upload.id.clone()).collect::<Vec<_>>();
    let first = store.uploads_page(&tenant("a"), None, 2).await.unwrap();
    assert_eq!(ids(&first.uploads), [upload(3).id, upload(2).id]);
    let rest = store.uploads_page(&tenant("a"), first.next.as_ref(), 2).await.unwrap();
    assert_eq!((ids(&rest.uploads), rest.next), (vec![upload(1).id], None));
}

async fn a_request_that_comes_twice_has_one_answer(store: &Store) {
    let now = at(0, 1);
    let begin = async |digest: &str, now| store.begin_request("k", digest, now).await.unwrap();
    assert_eq!(begin("d", now).await, Begun::First);
    assert_eq!(begin("d", now).await, Begun::AtWork);
    assert_eq!(begin("other", now).await, Begun::Other);
    let late = now + chrono::Duration::seconds(REQUEST_LEASE_SECONDS + 1);
    assert_eq!(begin("d", late).await, Begun::First, "whoever was at work is gone");
    let answer = Answer { status: 201, body: "{}".to_owned(), headers: "{}".to_owned() };
    store.answer_request("k", "d", &answer).await.unwrap();
    assert_eq!(begin("d", late).await, Begun::Answered(answer.clone()));
    assert_eq!(
        begin("d", now + chrono::Duration::hours(30)).await,
        Begun::First,
        "answers are not kept for ever"
    );
    store.forget_request("k").await.unwrap();
    assert_eq!(begin("other", now).await, Begun::First);
    assert!(store.answer_request("k", "d", &answer).await.is_err(), "the key is another request's");
}

async fn a_wave_finds_the_next_one_after_it(store: &Store) {
    with_two_obligations(store).await;
    let planned = touch("c", &["a"], ("d3", 3), 3);
    for (on, hour) in [(3, 9), (3, 11), (5, 8)] {
        let waiting = Touch { send_at: at(on, hour), ..planned.clone() };
        store.plan_touch(&scope(), &waiting).await.unwrap();
    }
    let next = async |after, days| store.wave_after(&scope(), after, days).await.unwrap();
    assert_eq!(next(at(3, 8), 0).await, Some(at(3, 9)));
    assert_eq!(next(at(3, 9), 0).await, Some(at(3, 11)));
    assert_eq!(next(at(3, 11), 1).await, None);
    assert_eq!(next(at(3, 11), 2).await, Some(at(5, 8)));
}
