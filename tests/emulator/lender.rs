//! The lender of the test: who sends, to whom, and by which rules.
//!
//! Invariant: a message is lawful at whatever moment the test runs. The profile has no closed day, and the time zone is
//! one in which it is about noon.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Timelike, Utc};
use serde_json::{Value, json};

/// The tenant, which the template's partner may bring files to.
pub(crate) const TENANT: &str = "default";
/// How many customers the file has; every other one is a person, who is told by SMS.
pub(crate) const CUSTOMERS: usize = 100;
/// The days before the due date on which the first stage of the demo's policy is due.
const FIRST_STAGE_DAYS: u64 = 3;

/// How the file is read. Unlike the demo's, its addresses are none that no provider may reach: the emulator is one.
const MAPPING: &str = r#"
[file]
kind = "accounts"
delimiter = ";"
date_formats = ["%d/%m/%Y"]
decimal_sign = ","
[customer]
id = "Cliente"
name = "Nombre"
kind = { column = "Tipo", values = { persona = "person", empresa = "company" } }
country = "País"
time_zone = "Zona"
email = "Correo"
phone = "Celular"
[consent]
columns = { email = "Autoriza correo", sms = "Autoriza SMS" }
yes = ["sí"]
no = ["no"]
source = "contract of the loan"
[obligation]
id = "Cuota"
amount = "Valor"
currency = "Moneda"
due_on = "Vence"
"#;

/// The lender at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Lender {
    now: DateTime<Utc>,
    /// Hours that its clock is ahead of UTC.
    ahead: i64,
}

impl Lender {
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self { now, ahead: 12 - i64::from(now.hour()) }
    }

    /// The time zone; those of `Etc` count from the other side.
    fn zone(&self) -> String {
        format!("Etc/GMT{:+}", -self.ahead)
    }

    fn today(&self) -> NaiveDate {
        (self.now + TimeDelta::hours(self.ahead)).date_naive()
    }

    /// The settings, as the API takes them: the demo's, where nothing here says otherwise.
    pub(crate) fn settings(&self) -> Value {
        let demo: toml::Table =
            include_str!("../../infra/demo/tenant.toml").parse().expect("the demo's is TOML");
        let mut settings = serde_json::to_value(demo).expect("TOML is JSON, too");
        let of = settings.as_object_mut().expect("a table");
        of.remove("id");
        of.insert("country".to_owned(), json!("US"));
        of.insert("jurisdiction".to_owned(), json!("US"));
        of.insert("time_zone".to_owned(), json!(self.zone()));
        // Half a day from now, so that the only scan of the test is the one that it asks for.
        let daily = self.now + TimeDelta::hours(self.ahead + 12);
        of.insert("scan_at".to_owned(), json!(daily.format("%H:%M:00").to_string()));
        // Slow enough for a small machine: a call that comes too late for its moment is put back.
        of.insert("rates".to_owned(), json!({ "email": 5, "sms": 5 }));
        of.insert("mapping".to_owned(), json!(MAPPING));
        settings
    }

    /// The file: every customer owes one amount, for which the first stage is due today.
    pub(crate) fn file(&self) -> Vec<u8> {
        let due = self.today() + Days::new(FIRST_STAGE_DAYS);
        let mut text = String::from(
            "Cliente;Nombre;Tipo;País;Zona;Correo;Celular;Autoriza correo;Autoriza SMS;Cuota;Valor;Moneda;Vence\n",
        );
        for number in 0..CUSTOMERS {
            let kind = if number % 2 == 0 { "persona" } else { "empresa" };
            text.push_str(&format!(
                "{};Cliente {number};{kind};US;{};c{number}@example.com;+5730012{:05};sí;sí;Q-{number};150000,00;COP;{}\n",
                customer(number),
                self.zone(),
                34_000 + number,
                due.format("%d/%m/%Y"),
            ));
        }
        text.into_bytes()
    }
}

/// The id of a customer.
pub(crate) fn customer(number: usize) -> String {
    format!("C-{number:03}")
}

/// The policy that its settings name.
pub(crate) const POLICY: &str = include_str!("../../infra/demo/policy.toml");
