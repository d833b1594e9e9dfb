//! What a profile may say, and where a bad one is wrong.

use super::*;

const CO: &str = include_str!("../../jurisdictions/CO.toml");

/// A small profile, each line of which a case can replace.
const SMALL: &str = r#"schema = 1
id = "X"
timezone = "America/Bogota"
week = "iso"
holidays = "CO"
reviewed = "2026-11-22"
channels = ["email", "sms", "call"]
country = "CO"
[windows.day]
mon = [["07:00", "12:00"], ["13:00", "19:00"]]
tue = []
wed = []
thu = []
fri = []
sat = []
sun = []
holiday = []
basis = "law"
[counting]
mode = "any"
basis = "policy"
[[rules]]
purposes = ["overdue"]
channels = ["*"]
window = "day"
[[rules.caps]]
code = "daily_cap"
kind = "count"
per = "day"
max = 1
over = "*"
[[rules]]
purposes = ["requested"]
channels = ["email"]
exempt = true
basis = "policy"
"#;

#[test]
fn every_built_in_profile_is_read_under_its_own_id() {
    assert_eq!(Jurisdiction::built_in_ids().count(), 9);
    for id in Jurisdiction::built_in_ids() {
        let profile = Jurisdiction::built_in(id).unwrap();
        assert_eq!(profile.id(), id);
        assert_eq!(profile.version().len(), 2 * VERSION_BYTES);
        for purpose in [Purpose::Transactional, Purpose::Requested] {
            for channel in Channel::ALL {
                assert!(profile.rule(purpose, *channel).unwrap().1.window.is_none(), "{id}");
            }
        }
        for purpose in [Purpose::PreDue, Purpose::Overdue] {
            for channel in Channel::ALL {
                assert!(profile.rule(purpose, *channel).unwrap().1.window.is_some(), "{id}");
            }
        }
    }
    let error = Jurisdiction::built_in("XX").unwrap_err().to_string();
    assert!(error.starts_with("unknown jurisdiction \"XX\"; expected one of BR-SP, CL,"), "{error}");
}

#[test]
fn a_country_without_a_profile_of_its_own_gets_the_strict_one() {
    let of = |code| Jurisdiction::for_country(Country::new(code).unwrap()).unwrap().id();
    assert_eq!([of("co"), of("PE"), of("BR"), of("FR")], ["CO", "PE", "DEFAULT", "DEFAULT"]);
}

#[test]
fn a_variant_differs_from_its_base_in_counting_alone() {
    let (base, variant) =
        (Jurisdiction::built_in("CO").unwrap(), Jurisdiction::built_in("CO-DIRECT").unwrap());
    assert_eq!(variant.counting().mode, CountingMode::Direct);
    assert_ne!(variant.version(), base.version());
    assert_eq!((variant.rules.clone(), variant.country()), (base.rules.clone(), base.country()));
    assert_eq!(base.counting().alternatives.get("CO-DIRECT"), Some(&CountingMode::Direct));
}

#[test]
fn the_version_follows_the_words_of_the_file() {
    let one = Jurisdiction::parse(SMALL).unwrap();
    assert_eq!(one.version(), Jurisdiction::parse(SMALL).unwrap().version());
    assert_ne!(one.version(), Jurisdiction::parse(&format!("{SMALL}\n# reviewed\n")).unwrap().version());
}

#[test]
fn gates_and_duties_are_exposed() {
    let co = Jurisdiction::parse(CO).unwrap();
    let gates = co.requires(Purpose::Marketing, Channel::Sms);
    assert_eq!(gates, [Requirement::OptIn, Requirement::NotInRegistry]);
    assert!(co.requires(Purpose::Overdue, Channel::Sms).is_empty());
    assert_eq!(co.duties().consent.dnc_registry.as_ref().unwrap().name, "RNE");
    assert_eq!(co.duties().credit_bureau.as_ref().unwrap().notice_days, 20);
    assert_eq!(
        (co.time_zone(), co.reviewed_on().to_string()),
        (Some(chrono_tz::America::Bogota), "2026-11-22".into())
    );
}

#[test]
fn a_bad_profile_says_where_it_is_wrong() {
    let cases = [
        ("schema = 1", "schema = 2", "line 1, schema: schema 2 is unknown; expected 1"),
        ("id = \"X\"", "id = \"X\"\ncolour = 1", "line 3, colour: unknown field"),
        ("id = \"X\"\n", "", "missing field `id`"),
        ("= [\"email\", \"sms\"", "= [\"email\", \"fax\"", "line 7, channels[1]: unknown variant `fax`"),
        ("timezone = \"America/Bogota\"\n", "", "timezone: is missing; expected the zone of the country"),
        (
            "country = \"CO\"\n",
            "",
            "timezone: does not belong here: a profile that serves any country has no zone",
        ),
        ("timezone = \"America/Bogota\"", "timezone = \"America/Bogotá\"", "line 3, timezone: "),
        (
            "week = \"iso\"",
            "week = \"lunar\"",
            "line 4, week: unknown variant `lunar`, expected `iso` or `seven_days`",
        ),
        (
            "holidays = \"CO\"",
            "holidays = \"XX\"",
            "line 5, holidays: there is no holiday table \"XX\"; expected",
        ),
        ("holidays = \"CO\"\n", "", "missing field `holidays`"),
        ("\"12:00\"]", "\"25:00\"]", "line 10, windows.day.mon[0]"),
        (
            "\"12:00\"]",
            "\"07:00\"]",
            "line 10, windows.day.mon[0]: the interval does not end after it starts",
        ),
        (
            "[\"13:00\"",
            "[\"11:59\"",
            "line 10, windows.day.mon[1]: the interval starts before the one above it ends",
        ),
        ("tue = []\n", "", "missing field `tue`"),
        ("tue = []", "tues = []", "line 11, windows.day.tues: unknown field `tues`"),
        ("mode = \"any\"\nbasis = \"policy\"", "mode = \"any\"", "counting.basis: is missing"),
        ("[\"overdue\"]", "[\"late\"]", "line 23, rules[0].purposes[0]: unknown variant `late`"),
        ("[\"overdue\"]", "[]", "rules[0].purposes: is missing; expected at least one purpose"),
        ("[\"email\"]\nexempt", "[\"mail\"]\nexempt", "rules[1].channels: unknown channel \"mail\""),
        (
            "[\"email\"]\nexempt",
            "[\"push\"]\nexempt",
            "rules[1].channels: push is not among the profile's channels",
        ),
        (
            "window = \"day\"",
            "window = \"night\"",
            "line 22, rules[0].window: there is no window \"night\"; expected one of day",
        ),
        ("window = \"day\"", "exempt = true", "rules[0].exempt: does not belong here"),
        ("window = \"day\"\n", "", "rules[0].window: is missing"),
        ("basis = \"law\"", "cite = \"art. 1\"", "windows.day.basis: is missing"),
        ("basis = \"law\"\n", "", "rules[0].basis: is missing"),
        (
            "window = \"day\"",
            "window = \"day\"\nrequire = [\"luck\"]",
            "rules[0].require: unknown requirement \"luck\"",
        ),
        ("kind = \"count\"", "kind = \"most\"", "line 28, rules[0].caps[0].kind: unknown variant `most`"),
        (
            "code = \"daily_cap\"",
            "code = \"enough\"",
            "line 27, rules[0].caps[0].code: unknown variant `enough`",
        ),
        ("code = \"daily_cap\"", "code = \"sunday\"", "rules[0].caps[0].code: does not belong here"),
        ("per = \"day\"", "per = \"month\"", "line 29, rules[0].caps[0].per: unknown variant `month`"),
        ("max = 1", "max = 0", "rules[0].caps[0].max: is 0; expected 1 to 1000"),
        ("max = 1", "max = 1\nhours = 4", "rules[0].caps[0].hours: does not belong here"),
        (
            "kind = \"count\"\nper = \"day\"\nmax = 1",
            "kind = \"min_gap\"",
            "rules[0].caps[0].hours: is missing",
        ),
        (
            "kind = \"count\"\nper = \"day\"\nmax = 1",
            "kind = \"after_direct\"\ndays = 35",
            "days: is 35; expected 1 to 34",
        ),
        (
            "kind = \"count\"\nper",
            "kind = \"distinct_channels\"\nper",
            "rules[0].caps[0].per: is missing; expected week",
        ),
        ("over = \"*\"", "over = \"all\"", "line 31, rules[0].caps[0].over: invalid value"),
        ("id = \"X\"", "extends = \"CO\"\nid = \"X\"", "line 8, channels: unknown field `channels`"),
        ("[counting]", "[counting", "line 19, .: "),
    ];
    for (old, new, expected) in cases {
        assert_eq!(SMALL.matches(old).count(), 1, "{old:?} must stand in the small profile once");
        let error = Jurisdiction::parse(&SMALL.replacen(old, new, 1)).expect_err(new).to_string();
        assert!(error.contains(expected), "{new:?} gave {error:?}; expected {expected:?}");
    }
    assert!(Jurisdiction::parse(SMALL).is_ok());
}

#[test]
fn a_variant_extends_only_a_full_built_in_profile() {
    let variant = |base: &str| {
        format!(
            "schema = 1\nextends = \"{base}\"\nid = \"Y\"\nreviewed = \"2026-11-22\"\n[counting]\nmode = \"any\"\nbasis = \"policy\"\n"
        )
    };
    assert!(Jurisdiction::parse(&variant("PE")).is_ok());
    for base in ["XX", "CO-DIRECT"] {
        let error = Jurisdiction::parse(&variant(base)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line 2, extends: there is no full profile {base:?}")), "{error}");
    }
}
