//! Tests of the branches: which conditions are met on both sides, and which are decided.

use super::*;

fn all(source: &str) -> Vec<String> {
    let branches = Branches::of(TemplatePart::EmailHtml, source.to_owned(), false);
    (0..1 << branches.conditions.len()).map(|choice| branches.decided(choice)).collect()
}

#[test]
fn what_numbers_do_not_decide_is_decided_both_ways() {
    assert_eq!(
        all("{% if (first_name == 'Ana') and not item %}{{ opt_out }}{% endif %}"),
        [
            "{% if (false) and not false %}{{ opt_out }}{% endif %}",
            "{% if (true) and not false %}{{ opt_out }}{% endif %}",
            "{% if (false) and not true %}{{ opt_out }}{% endif %}",
            "{% if (true) and not true %}{{ opt_out }}{% endif %}",
        ]
    );
    assert_eq!(
        all("{{ opt_out if 'x' in first_name|lower else '' }}"),
        ["{{ opt_out if false else '' }}", "{{ opt_out if true else '' }}"]
    );
    assert_eq!(
        all("{% for item in items if item.dpd + count > 3 %}{{ item.amount }}{% endfor %}"),
        [
            "{% for item in items if false %}{{ item.amount }}{% endfor %}",
            "{% for item in items if true %}{{ item.amount }}{% endfor %}",
        ]
    );
    assert_eq!(all("<p {% if first_name %}hidden{% endif %}>").len(), 2);
    assert_eq!(all("{{ opt_out|replace('a', '') }}"), ["{{ opt_out|length }}"]);
}

#[test]
fn what_numbers_decide_or_says_nothing_is_left_alone() {
    for source in [
        "{% if dpd > 4 and count != 3 %}{{ opt_out }}{% endif %}",
        "{% if first_name == 'Ana' %}querida{% endif %}",
        "{% if ways_to_pay %}{{ ways_to_pay|join(', ') }}{% endif %}",
        "{{ 'venció' if item.days_late > 0 else 'vence' }}",
    ] {
        assert_eq!(all(source), [source]);
    }
    let branches = Branches::of(
        TemplatePart::SmsText,
        "{% if 4 < dpd <= 9 or not count == 3 %}{{ amount }}{% endif %}".into(),
        false,
    );
    assert_eq!(branches.days.iter().copied().collect::<Vec<_>>(), [4, 9]);
    assert_eq!(branches.counts.iter().copied().collect::<Vec<_>>(), [3]);
}
