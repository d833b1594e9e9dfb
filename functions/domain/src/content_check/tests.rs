//! What is said about whole policies, for every jurisdiction that there is.

use super::*;
use crate::jurisdiction::Jurisdiction;
use crate::tenant::Lender;

const DEFAULT_POLICY: &str = include_str!("../../../../infra/demo/policy.toml");

/// A policy of one stage whose texts say everything, where `EXTRA` can be replaced.
const SOUND: &str = r#"id = "one"
version = 1
[[stages]]
id = "d3"
dpd = 3
tone = "friendly"
purpose = "overdue"
channels = ["sms", "email"]
template = "t"
# NOTICE
[[templates]]
id = "t"
[templates.email]
subject = "{{ lender_name }}"
text = '''
{{ lender_name }}: {{ amount }}, {{ due_on }}.
{% for item in items %}{{ item.obligation }}: {{ item.amount }}
{% endfor %}
{% for way in ways_to_pay %}{{ way }}
{% endfor %}
{{ lender_phone }} {{ opt_out }} EXTRA
'''
html = '''
<p>{{ lender_name }}: {{ amount }}, {{ due_on }}.</p>
{% for item in items %}<p>{{ item.obligation }}</p>{% endfor %}
{% for way in ways_to_pay %}<p>{{ way }}</p>{% endfor %}
<p>{{ lender_phone }} {{ opt_out }}</p>
'''
[templates.sms]
text = "{{ lender_name }}: {{ overdue_amount }}, {{ due_on_short }}. {{ lender_phone }}. {{ opt_out }}"
"#;

fn profile(id: &str) -> &'static Jurisdiction {
    Jurisdiction::built_in(id).unwrap()
}

fn told_of(policy: &str, jurisdiction: &Jurisdiction, lender: Option<&Lender>) -> Vec<String> {
    let tenant = lender.map(|lender| Tenant { lender: lender.clone(), ..demo() });
    told_to(policy, jurisdiction, tenant.as_ref())
}

fn told_to(policy: &str, jurisdiction: &Jurisdiction, tenant: Option<&Tenant>) -> Vec<String> {
    let parsed = Policy::parse(policy).unwrap();
    let lines = TemplateLines::of(policy);
    let objections = check_texts(&parsed, jurisdiction, tenant).objections;
    objections.iter().map(|o| format!("{:?} {o}", lines.line_of(o).unwrap_or(0))).collect()
}

fn told(policy: &str, id: &str) -> Vec<String> {
    told_of(policy, profile(id), None)
}

fn demo() -> Tenant {
    toml::from_str(include_str!("../../../../infra/demo/tenant.toml")).unwrap()
}

fn lender() -> Lender {
    Lender {
        name: "Crédito Andino".to_owned(),
        phone: "601 555 0100".to_owned(),
        email: "pagos@example.com".to_owned(),
        ways_to_pay: vec!["PSE".to_owned()],
        opt_out_email: "Responda BAJA".to_owned(),
        opt_out_sms: "Baja: example.com/b".to_owned(),
    }
}

#[test]
fn the_default_policy_may_be_used_in_every_jurisdiction() {
    for id in Jurisdiction::built_in_ids() {
        assert_eq!(told(DEFAULT_POLICY, id), Vec::<String>::new(), "{id}");
    }
}

#[test]
fn what_every_jurisdiction_says_of_bad_texts_is_as_recorded() {
    let bad = "Juzgado: acciones legales. ¿Por qué no ha pagado? DICOM. Lista de morosos. Pague al despacho. Caloteiro. \
               Avisaremos a su familia.";
    let bad = SOUND.replace("EXTRA", bad).replace("{{ lender_phone }}. {{ opt_out }}", "Llame ya.");
    let mut shown = String::new();
    for id in Jurisdiction::built_in_ids() {
        shown.push_str(&format!("== {id}\n{}\n", told(&bad, id).join("\n")));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_customers_own_link_says_how_to_stop_the_messages() {
    let sound = |html: &str| {
        SOUND
            .replace("<p>{{ lender_phone }} {{ opt_out }}</p>", html)
            .replace("{{ opt_out }}", "{{ opt_out_link }}")
    };
    for seen in ["{{ opt_out_link }}", "<a href=\"{{ opt_out_link }}\">No quiero más mensajes</a>"] {
        assert_eq!(
            told(&sound(&format!("<p>{{{{ lender_phone }}}} {seen}</p>")), "CO"),
            Vec::<String>::new()
        );
    }
    for unseen in [
        "<a href=\"{{ opt_out_link }}\"></a>",
        "<a href=\"{{ opt_out_link }}\" hidden>Salir</a>",
        "<a>{{ lender_email }}</a>",
    ] {
        let found = told(&sound(&format!("<p>{{{{ lender_phone }}}} {unseen}</p>")), "CO");
        assert!(found.len() == 1 && found[0].contains("(opt_out)"), "{unseen}: {found:?}");
    }
}

#[test]
fn each_thing_that_must_be_said_is_missed_where_it_is_not() {
    assert_eq!(told(SOUND, "CO"), Vec::<String>::new());
    let html_opt_out = "<p>{{ lender_phone }} {{ opt_out }}</p>";
    for (from, to, code, part) in [
        (
            "{{ lender_name }}: {{ amount }}, {{ due_on }}.\n{%",
            "{{ amount }}, {{ due_on }}.\n{%",
            "creditor_identity",
            "email.text",
        ),
        (
            "{{ item.obligation }}: {{ item.amount }}",
            "{{ item.account }}: {{ item.amount }}",
            "obligation_reference",
            "email.text",
        ),
        ("{% for way in ways_to_pay %}<p>{{ way }}</p>{% endfor %}", "", "ways_to_pay", "email.html"),
        (html_opt_out, "<p>{{ opt_out }}</p>", "contact", "email.html"),
        (html_opt_out, "<p title=\"{{ opt_out }}\">{{ lender_phone }}</p>", "opt_out", "email.html"),
        (html_opt_out, "<p>{{ lender_phone }}<!-- {{ opt_out }} --></p>", "opt_out", "email.html"),
        (
            html_opt_out,
            "<p>{{ lender_phone }}{% if days_late < 40 %}{{ opt_out }}{% endif %}</p>",
            "opt_out",
            "email.html",
        ),
        (
            html_opt_out,
            "<p>{{ lender_phone }}{% if count == 1 %}{{ opt_out }}{% endif %}</p>",
            "opt_out",
            "email.html",
        ),
        (
            "<p>{{ lender_name }}: {{ amount }}, {{ due_on }}.</p>",
            "<p>{{ lender_name }}: {{ amount }}</p>",
            "due_date",
            "email.html",
        ),
        (
            "{{ overdue_amount }}, {{ due_on_short }}",
            "{{ overdue_count }}, {{ due_on_short }}",
            "amount",
            "sms.text",
        ),
        (
            "{{ overdue_amount }}, {{ due_on_short }}",
            "{{ upcoming_amount }}, {{ due_on_short }}",
            "amount",
            "sms.text",
        ),
    ] {
        let policy = SOUND.replacen(from, to, 1);
        assert_ne!(policy, SOUND, "{from}");
        let told = told(&policy, "CO");
        let place = format!("template t, {part}: ");
        let found = told.iter().any(|o| o.contains(&place) && o.contains(&format!("missing ({code})")));
        assert!(found, "{code}: {told:?}");
    }
}

#[test]
fn forbidden_words_are_found_in_every_branch_and_however_they_are_hidden() {
    for (extra, words) in [
        ("{% if days_late == 3649 %}El juzgado{% endif %}", "juzgado"),
        ("{{ 'El juzgado' if dpd == 3649 else '' }}", "juzgado"),
        ("el j{{ '' }}uzgado", "juzgado"),
        ("E.m.b.a.r.g.o", "E.m.b.a.r.g.o"),
        ("{% if count > 1 %}demanda{% else %}aviso{% endif %} judicial", "judicial"),
    ] {
        let told = told(&SOUND.replace("EXTRA", extra), "CO");
        let said = format!("email.text: \"{words}\" reads like a paper of a court");
        assert!(
            told.iter().any(|o| o.contains(&said) && o.contains("[Ley 1480/2011; law]")),
            "{extra}: {told:?}"
        );
    }
    let html = SOUND.replacen("<p>{{ lender_phone }}", "<p>juz<b>gado</b> {{ lender_phone }}", 1);
    assert!(told(&html, "CO").iter().any(|o| o.contains("email.html: \"juzgado\"")));
}

#[test]
fn what_must_be_said_is_said_in_every_branch() {
    let html_opt_out = "<p>{{ lender_phone }} {{ opt_out }}</p>";
    for said in [
        "{% if count < 4 %}{{ opt_out }}{% endif %}",
        "{% if 17 == overdue_count %}{{ opt_out }}{% endif %}",
        "{% if dpd != 17 %}{{ opt_out }}{% endif %}",
        "{% if not (dpd == 41 and count == 5) %}{{ opt_out }}{% endif %}",
        "{% if first_name != 'Ana' %}{{ opt_out }}{% endif %}",
        "{% if customer_name|length < 30 %}{{ opt_out }}{% endif %}",
        "{% if dpd + count != 20 %}{{ opt_out }}{% endif %}",
        "{% if 'PSE' in ways_to_pay %}{{ opt_out }}{% endif %}",
        "{{ opt_out if amount != '$ 1' else '' }}",
        "{{ '' if 'a' in amount else opt_out|lower }}",
        "{% for item in items if item.days_late > 30 %}{{ opt_out }}{% endfor %}",
        "{% for item in items %}{% if loop.index == 3 %}{{ opt_out }}{% endif %}{% endfor %}",
        "{{ opt_out|replace('Responda', '') }}",
        "<span{% if first_name == 'Ana' %} hidden{% endif %}>{{ opt_out }}</span>",
        "{% if first_name == 'Ana' %}<!--{% endif %}{{ opt_out }}<!-- -->",
        "<span style=\"display:{{ 'none' if first_name == 'Ana' else 'block' }}\">{{ opt_out }}</span>",
        "<font color=\"white\">{{ opt_out }}</font>",
        "<img alt=\"{{ opt_out }}\">",
    ] {
        let policy = SOUND.replacen(html_opt_out, &format!("<p>{{{{ lender_phone }}}} {said}</p>"), 1);
        let told = told(&policy, "CO");
        let missing = |o: &&String| o.contains("email.html: how to stop the messages is missing (opt_out)");
        assert_eq!(told.iter().filter(missing).count(), 1, "{said}: {told:?}");
    }
    for said in [
        "{% if count < 4 %}Baja: {{ opt_out }}{% else %}<b>{{ opt_out|upper }}</b>{% endif %}",
        "{% if first_name == 'Ana' %}{{ opt_out }}{% endif %}{% if not first_name == 'Ana' %}{{ opt_out }}{% endif %}",
        "{% if dpd > 5 %}{{ opt_out }}{% endif %}{% if dpd <= 5 %}{{ opt_out }}{% endif %}",
        "{% for item in items %}{% if loop.last %}{{ opt_out }}{% endif %}{% endfor %}",
    ] {
        let policy = SOUND.replacen(html_opt_out, &format!("<p>{{{{ lender_phone }}}} {said}</p>"), 1);
        assert_eq!(told(&policy, "CO"), Vec::<String>::new(), "{said}");
    }
}

#[test]
fn a_text_with_more_branches_than_are_looked_at_is_refused() {
    let branches: String =
        (0..9).map(|n| format!("{{% if first_name == '{n}' %}}{{{{ lender_name }}}}{{% endif %}}")).collect();
    let told = told(&SOUND.replace("EXTRA", &branches), "CO");
    assert!(told[0].contains("email.text: too many branches to check; expected fewer"), "{told:?}");
}

#[test]
fn forbidden_words_are_found_however_they_are_put_together() {
    for extra in [
        "el juz{% if days_late == 41 %}gado{% endif %}",
        "el juz{% if first_name == 'Ana' %}gado{% else %}go{% endif %}",
        "el juz{{ 'gado' if dpd == 41 else 'go' }}",
        "el {{ 'juz' ~ 'gado' }}",
        "el {{ 'juXzgado'|replace('X', '') }}",
        "el juz{{ items[0].account }}gado",
        "{% for item in items if item.dpd == 41 %}el juz{% else %}gado{% endfor %}gado",
        "el juz\u{200b}gado",
        "el juz\u{ad}gado",
        "el ju\u{2060}z\u{34f}gado",
        "el jսzցadο",
        "el 🅹🆄🆉🅶🅰🅳🅾",
        "el 🄹🅄🅉🄶🄰🄳🄾",
        "el j u z g a d o",
        "a j u z g a d o y e m b a r g o",
        "evite e m b a r g o y costos",
        "j u z g a d o c i v i l",
        "el j.u.z.g.a.d.o",
        "el j_u_z_g_a_d_o",
    ] {
        let told = told(&SOUND.replace("EXTRA", extra), "CO");
        assert!(told.iter().any(|o| o.contains("(simulated_court_document)")), "{extra}: {told:?}");
    }
    for html in [
        "juz<b>gado</b>",
        "juz<!-- x -->gado",
        "j&#117;zgado",
        "juz&shy;gado",
        "juz&ZeroWidthSpace;gado",
        "juz<span style=\"display:none\">x</span>gado",
        "<span style=\"display:none\">juzgado</span>",
        "<img alt=\"juzgado\">",
        "<i title=\"juzgado\"></i>",
        "juz<b{% if first_name == 'Ana' %} class=\"a\"{% endif %}>gado</b>",
        "<!--[if mso]>juzgado<![endif]-->",
    ] {
        let policy = SOUND.replacen("<p>{{ lender_phone }}", &format!("<p>{html} {{{{ lender_phone }}}}"), 1);
        let told = told(&policy, "CO");
        assert!(
            told.iter().any(|o| o.contains("email.html: ") && o.contains("(simulated_")),
            "{html}: {told:?}"
        );
    }
}

#[test]
fn what_a_person_reads_otherwise_than_a_program_is_refused() {
    for (extra, how) in [
        ("\u{202e}ogrubme\u{202c}", "turns the direction of writing"),
        ("gаto", "mixes letters of several alphabets"),
    ] {
        let told = told(&SOUND.replace("EXTRA", extra), "CO");
        assert!(told.iter().any(|o| o.contains(how)), "{extra}: {told:?}");
    }
    let html =
        SOUND.replacen("<p>{{ lender_phone }}", "<p><bdo dir=\"rtl\">ogrubme</bdo> {{ lender_phone }}", 1);
    assert!(told(&html, "CO").iter().any(|o| o.contains("turns the direction")));
}

#[test]
fn the_line_is_that_of_the_words_or_of_the_text_that_lacks_them() {
    let policy = SOUND.replace("EXTRA", "\nY el\nJUZGADO dirá");
    let line = |text: &str| policy[..policy.find(text).unwrap()].matches('\n').count() + 1;
    assert!(
        told(&policy, "PE")[0].starts_with(&format!("{} stage d3", line("JUZGADO"))),
        "{:?}",
        told(&policy, "PE")
    );
    let policy = SOUND.replacen("{{ lender_phone }}. {{ opt_out }}", "{{ opt_out }}", 1);
    let line =
        policy[..policy.find("text = \"{{ lender_name }}: {{ overdue").unwrap()].matches('\n').count() + 1;
    assert!(told(&policy, "PE")[0].starts_with(&format!("{line} stage d3")), "{:?}", told(&policy, "PE"));
}

/// SOUND, sent by email only, with a sentence in both parts.
fn with_notice(sentence: &str) -> String {
    SOUND
        .replace("channels = [\"sms\", \"email\"]", "channels = [\"email\"]")
        .replace("[templates.sms]\ntext = \"{{ lender_name }}: {{ overdue_amount }}, {{ due_on_short }}. {{ lender_phone }}. {{ opt_out }}\"\n", "")
        .replace("EXTRA", sentence)
        .replace("{{ opt_out }}</p>", &format!("{{{{ opt_out }}}} {sentence}</p>"))
}

#[test]
fn only_the_declared_notice_may_speak_of_a_report() {
    let whole = "Si en 20 días no la paga, reportaremos esta obligación en mora a Datacrédito. En ese plazo puede pagar o \
                 presentar un reclamo si no está de acuerdo.";
    let refused = told(&with_notice(whole), "CO");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused[0].contains("names the 20 days") || refused[0].contains("name the 20 days"),
        "{refused:?}"
    );
    assert!(refused[0].contains("[Ley 1266/2008 art. 12; law]"), "{refused:?}");
    let declared = |sentence: &str| with_notice(sentence).replace("# NOTICE", "notice = \"credit_bureau\"");
    for sound in [
        whole,
        "Dentro de veinte días reportaremos la mora a las centrales de riesgo. Antes de eso puede ponerse al día o \
         aclarar el valor con nosotros.",
        "Le informamos que su obligación en mora será reportada en 20 días calendario. Tiene ese plazo para pagar o \
         controvertir el monto y la fecha.",
    ] {
        assert_eq!(told(&declared(sound), "CO"), Vec::<String>::new(), "{sound}");
    }
    // No notice makes it lawful where the profile knows of none.
    assert_eq!(told(&declared(whole), "DEFAULT").len(), 2);
    for (lacking, code) in [
        (whole.replace("en 20 días", "pronto"), "notice_days"),
        (whole.replace("o presentar un reclamo si no está de acuerdo", ""), "notice_dispute"),
        ("En 20 días irá a Datacrédito. Puede pagar o reclamar.".to_owned(), "notice_report"),
        ("En 20 días reportaremos su mora. Puede reclamar.".to_owned(), "notice_payment"),
        (format!("{{% if first_name == 'Ana' %}}{whole}{{% endif %}}"), "notice_days"),
    ] {
        let refused = told(&declared(&lacking), "CO");
        let missing =
            refused.iter().filter(|o| o.contains(code) && o.contains("Ley 1266/2008 art. 12")).count();
        assert_eq!(missing, 2, "{lacking}: {refused:?}");
    }
}

#[test]
fn a_sentence_is_excepted_for_one_code_and_on_the_record() {
    let sentence = "El juzgado nos pidió avisarle del cambio de sede";
    let policy = SOUND.replace("EXTRA", &format!("{sentence}."));
    assert_eq!(told_to(&policy, profile("CO"), Some(&demo())).len(), 1);
    let exception = TextException {
        code: "simulated_court_document".to_owned(),
        sentence: sentence.to_owned(),
        reason: "It tells of a new address and announces nothing".to_owned(),
        approved_by: "Legal".to_owned(),
        approved_on: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
    };
    let excepting = |exception: &TextException| Tenant { text_exceptions: vec![exception.clone()], ..demo() };
    let tenant = excepting(&exception);
    let check = check_texts(&Policy::parse(&policy).unwrap(), profile("CO"), Some(&tenant));
    assert_eq!((check.objections, check.excepted), (vec![], vec![exception.clone()]));
    // Another word of the same code is none of the sentence.
    let more = policy.replace(sentence, &format!("{sentence}. Habrá embargo"));
    assert_eq!(told_to(&more, profile("CO"), Some(&tenant)).len(), 1);
    // Half of the sentence is not the sentence, and neither is another code.
    let half = policy.replace(" nos pidió avisarle del cambio de sede", " irá");
    assert_eq!(told_to(&half, profile("CO"), Some(&tenant)).len(), 1);
    let other = TextException { code: "threat".to_owned(), ..exception.clone() };
    assert_eq!(told_to(&policy, profile("CO"), Some(&excepting(&other))).len(), 1);
    // What a text must say cannot be excepted, and neither can a word alone or without a reason.
    for (wrong, said) in [
        (
            TextException { code: "opt_out".to_owned(), ..exception.clone() },
            "names no code of forbidden words",
        ),
        (TextException { sentence: "El juzgado".to_owned(), ..exception.clone() }, "fewer than three words"),
        (TextException { reason: " ".to_owned(), ..exception }, "lacks a sentence, a reason"),
    ] {
        let told = told_to(SOUND, profile("CO"), Some(&excepting(&wrong)));
        assert!(
            told.len() == 1 && told[0].contains("text_exceptions[1]") && told[0].contains(said),
            "{told:?}"
        );
    }
}

#[test]
fn an_opt_out_that_says_nothing_is_refused() {
    let empty = Lender { opt_out_sms: ".".to_owned(), ..lender() };
    let told = told_of(DEFAULT_POLICY, profile("CO"), Some(&empty));
    assert!(
        told.iter().any(|o| o.contains("lender.opt_out_sms: says too little; expected what to do")),
        "{told:?}"
    );
}

#[test]
fn a_word_that_is_not_known_is_an_objection_that_names_it() {
    let text = Jurisdiction::built_in_text("US").unwrap();
    let text = text.replace(
        "must_include = [\"opt_out\"]",
        "must_include = [\"opt_out\", \"seal\"]\nmust_not = [\"rhyme\"]",
    );
    let grounds = "\n[content.grounds.seal]\nbasis = \"law\"\n[content.grounds.rhyme]\nbasis = \"law\"\n[content.grounds.opt_out]";
    let text = text.replace("\n[content.grounds.opt_out]", grounds);
    let told = told_of(SOUND, &Jurisdiction::parse(&text).unwrap(), None);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("content.must_include: unknown word \"seal\""), "{told:?}");
    assert!(told[1].contains("content.must_not: unknown word \"rhyme\""), "{told:?}");
}

#[test]
fn a_fee_for_collecting_is_refused_where_the_profile_says_so() {
    let fee = SOUND.replace("EXTRA", "Su saldo incluye S/ 25 por gastos de cobranza.");
    let refused = told(&fee, "PE");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].contains("\"gastos de cobranza\" asks to be paid for collecting (collection_fee)")
            && refused[0].contains("[SBS rules on prohibited commissions; law]"),
        "{refused:?}"
    );
    let none = SOUND.replace("EXTRA", "No cobramos gastos de cobranza.");
    for (policy, profile) in [(&fee, "CO"), (&none, "PE")] {
        assert_eq!(told(policy, profile), Vec::<String>::new(), "{profile}");
    }
}

#[test]
fn an_answer_on_fees_that_is_not_known_is_an_objection() {
    let text = Jurisdiction::built_in_text("PE").unwrap();
    let odd = text.replace("collection_fees = \"forbidden\"", "collection_fees = \"capped\"");
    let told = told_of(SOUND, &Jurisdiction::parse(&odd).unwrap(), None);
    assert!(
        told.len() == 1 && told[0].contains("content.collection_fees: unknown word \"capped\""),
        "{told:?}"
    );
    let bare = text.replace("[content.grounds.collection_fee]", "[content.grounds.collection_fees]");
    assert!(Jurisdiction::parse(&bare).is_err());
}

#[test]
fn a_lender_without_a_value_misses_it_and_its_own_words_are_checked() {
    let co = profile("CO");
    assert_eq!(told_of(DEFAULT_POLICY, co, Some(&lender())), Vec::<String>::new());
    let silent = Lender { ways_to_pay: vec![" ".to_owned()], opt_out_sms: String::new(), ..lender() };
    let told = told_of(DEFAULT_POLICY, co, Some(&silent));
    assert!(told.iter().any(|o| o.contains("sms.text: how to stop the messages is missing")), "{told:?}");
    assert!(told.iter().any(|o| o.contains("email.html: a way to pay is missing")), "{told:?}");
    let harsh = Lender { ways_to_pay: vec!["En el juzgado".to_owned()], ..lender() };
    assert!(told_of(DEFAULT_POLICY, co, Some(&harsh))[0].contains("lender.ways_to_pay: \"juzgado\""));
}
