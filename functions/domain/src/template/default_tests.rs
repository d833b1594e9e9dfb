//! The texts that are delivered with Puntual: for every stage, one and several obligations, and every day on which
//! the message may really go out.

use super::*;
use crate::choice::OptOutUrl;
use crate::contact::PersonName;
use crate::customer::CustomerKind;
use crate::ids::{AccountId, ObligationId};
use crate::money::Money;
use chrono::{Duration, NaiveDate};

/// Stage, its trigger, and the last day on which a moved message of it may go out.
const STAGES: [(&str, i64, i64); 6] =
    [("d-3", -3, 0), ("d0", 0, 2), ("d3", 3, 7), ("d8", 8, 14), ("d15", 15, 29), ("d30", 30, 60)];

#[derive(Deserialize)]
struct File {
    templates: Vec<TemplateSource>,
}

fn defaults() -> TemplateSet {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/demo/policy.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let file: File = toml::from_str(&text).unwrap();
    TemplateSet::compile(file.templates).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn render(set: &TemplateSet, stage: &str, channel: Channel, country: &str, dpd: i64, count: i64) -> Message {
    let today = NaiveDate::from_ymd_opt(2025, 3, 14).unwrap();
    let name = PersonName::new("María Fernanda Quispe");
    let obligations: Vec<ObligationId> =
        (1..=count).map(|n| ObligationId::new(format!("CUO-{n:04}")).unwrap()).collect();
    let account = AccountId::new("CR-778").unwrap();
    let (ways, phone, currency) = match country {
        "PE" => (["Yape al 999 000 111", "Agente BCP, código 4455"], "01 555 0100", "PEN"),
        _ => (["PSE en example.com/pagar", "Corresponsal bancario, convenio 4455"], "601 555 0100", "COP"),
    };
    let ways = ways.map(str::to_owned);
    let link =
        OptOutUrl::try_from("https://andino.example.com/baja".to_owned()).unwrap().link("WyJhIl0.c2ln");
    let context = MessageContext {
        customer_name: &name,
        first_name: first_name(&name, Some(CustomerKind::Person)),
        lender: MessageLender {
            name: "Crédito Andino",
            phone,
            email: "pagos@example.com",
            ways_to_pay: &ways,
            opt_out_email: "Si no quiere recibir más recordatorios por correo, responda BAJA.",
            // As long as the shipped lender's, so that what is tested is what is sent.
            opt_out_sms: "Baja: andino.example.com/b",
        },
        opt_out_link: Some(&link),
        locale: format!("es-{country}").parse().unwrap(),
        today,
        items: (0..count)
            .map(|n| MessageItem {
                obligation: &obligations[usize::try_from(n).unwrap()],
                account: (n == 0).then_some(&account),
                outstanding: Money::new(
                    if country == "PE" { 125_050 } else { 12_000_000 },
                    currency.parse().unwrap(),
                ),
                due_on: today + Duration::days(n - dpd),
            })
            .collect(),
    };
    set.render(&TemplateId::new(stage).unwrap(), channel, &context).unwrap()
}

#[test]
fn the_default_texts_read_as_recorded() {
    let set = defaults();
    for (stage, dpd, _) in STAGES {
        for (country, count) in [("CO", 1), ("PE", 3)] {
            let mail = render(&set, stage, Channel::Email, country, dpd, count);
            let sms = render(&set, stage, Channel::Sms, country, dpd, count);
            let subject = mail.subject.unwrap();
            let size = sms.sms.unwrap();
            let size = format!("{} {} {}", size.encoding, size.units, size.parts);
            let shown = format!("{subject}\n\n{}\n\n--- sms, {size}\n{}\n", mail.text, sms.text);
            insta::assert_snapshot!(format!("{stage}_{country}_{count}"), shown);
        }
    }
    insta::assert_snapshot!("html", render(&set, "d8", Channel::Email, "PE", 9, 2).html.unwrap());
}

#[test]
fn every_text_names_what_it_must() {
    let set = defaults();
    for (stage, first, last) in STAGES {
        for dpd in first..=last {
            for count in [1, 2, 20] {
                let mail = render(&set, stage, Channel::Email, "CO", dpd, count);
                // A stage after the due date speaks of what is late; the items are due on one day after the other.
                let named = if first > 0 { count.min(dpd) } else { count };
                let total =
                    Money::new(12_000_000 * named, "COP".parse().unwrap()).format(&"es-CO".parse().unwrap());
                let mut needed = vec![
                    "Crédito Andino",
                    "601 555 0100",
                    "pagos@example.com",
                    "PSE",
                    "BAJA",
                    "CUO-0001",
                    "CR-778",
                    "https://andino.example.com/baja/WyJhIl0.c2ln",
                    &total,
                ];
                let last_item = format!("CUO-{count:04}");
                needed.push(&last_item);
                for text in [&mail.text, mail.html.as_ref().unwrap()] {
                    let text = text.replace("&#x2f;", "/");
                    for word in &needed {
                        assert!(text.contains(word), "{stage} {dpd} {count}: {word}\n{text}");
                    }
                }
                let html = mail.html.unwrap();
                assert!(html.contains("<html lang=\"es\">") && html.contains("<th scope=\"col\""));
                let without_link = html.replace("href=\"https:", "");
                assert!(!without_link.contains("http") && !html.contains("<img"), "remote content");
                assert!(html.len() < 6_000 + 300 * usize::try_from(count).unwrap(), "{}", html.len());
            }
        }
    }
}

#[test]
fn every_text_message_is_one_part_and_names_what_it_must() {
    let set = defaults();
    for (stage, first, last) in STAGES {
        for dpd in first..=last {
            for (country, count, amount) in [
                ("CO", 1, "$ 120.000"),
                ("CO", 3, "$ 360.000"),
                ("PE", 1, "S/ 1,250.50"),
                ("PE", 2, "S/ 2,501.00"),
            ] {
                let sms = render(&set, stage, Channel::Sms, country, dpd, count);
                let size = sms.sms.unwrap();
                assert_eq!(
                    (size.encoding, size.parts),
                    (sms::Encoding::Gsm7, 1),
                    "{stage} {dpd}: {} units: {}",
                    size.units,
                    sms.text
                );
                for word in ["Crédito Andino", amount, "555 0100", "Baja: andino.example.com/b", "/2025"] {
                    assert!(sms.text.contains(word), "{stage} {dpd}: {word}: {}", sms.text);
                }
            }
        }
    }
}

#[test]
fn a_moved_message_tells_the_days_of_its_own_moment() {
    let set = defaults();
    let text = |stage, dpd| render(&set, stage, Channel::Sms, "CO", dpd, 1).text;
    assert!(text("d-3", -3).contains("vence en 3 dias"));
    assert!(text("d-3", -1).contains("vence mañana"));
    assert!(text("d-3", 0).contains("vence hoy"));
    assert!(text("d0", 1).contains("vencio ayer"));
    assert!(text("d0", 2).contains("vencio hace 2 dias"));
    assert!(text("d3", 5).contains("vencio hace 5 dias"));
    let mail = |stage, dpd| render(&set, stage, Channel::Email, "CO", dpd, 1).text;
    assert!(mail("d15", 17).contains("han pasado 17 días"));
    assert!(mail("d30", 33).contains("venció hace 33 días"));
}

#[test]
fn no_text_threatens_or_asks_for_reasons() {
    let set = defaults();
    for (stage, dpd, _) in STAGES {
        for count in [1, 2] {
            let mail = render(&set, stage, Channel::Email, "PE", dpd, count);
            let sms = render(&set, stage, Channel::Sms, "PE", dpd, count);
            let all = format!("{} {} {} {}", mail.subject.unwrap(), mail.text, mail.html.unwrap(), sms.text)
                .to_lowercase();
            for word in [
                "juzgado",
                "juríd",
                "jurid",
                "judicial",
                "demanda",
                "embargo",
                "abogad",
                "centrales de riesgo",
                "infocorp",
                "datacrédito",
                "reporte",
                "por qué",
                "motivo",
                " tu ",
                " tus ",
            ] {
                assert!(!all.contains(word), "{stage}: {word}");
            }
        }
    }
}

#[test]
fn what_is_not_due_yet_is_never_called_late() {
    let set = defaults();
    for (stage, dpd, _) in STAGES.into_iter().filter(|(_, dpd, _)| *dpd > 0) {
        // The last two of the items are due today and tomorrow.
        let count = dpd + 2;
        let mail = render(&set, stage, Channel::Email, "PE", dpd, count);
        let sms = render(&set, stage, Channel::Sms, "PE", dpd, count).text;
        let owed = |items: i64| {
            Money::new(125_050 * items, "PEN".parse().unwrap()).format(&"es-PE".parse().unwrap())
        };
        let subject = mail.subject.unwrap();
        for text in [&subject, &mail.text.split("Detalle").next().unwrap().to_owned(), &sms] {
            assert!(!text.contains(&format!("{count} pagos")), "{stage}: {text}");
            assert!(!text.contains(&owed(count)), "{stage}: {text}");
        }
        assert!(
            mail.text.contains(&format!("{dpd} pagos")) && mail.text.contains(&owed(dpd)),
            "{stage}: {}",
            mail.text
        );
        assert!(
            sms.contains(&owed(dpd)) && sms.contains(&format!("{} por vencer", owed(2))),
            "{stage}: {sms}"
        );
    }
}
