//! The demo portfolio: a receivables file as a lender in Colombia and Peru would hand it over, made from a seed.
//!
//! Invariants: the same size, seed and day give the same bytes. Every person and company is made up, addresses are under
//! `example.com`, and the mapping marks every contact point as a test.

use chrono::{Days, NaiveDate};
use domain::csv_text::neutralise_csv;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The mapping that reads the portfolio.
pub(crate) const MAPPING: &str = include_str!("../../demo/portfolio.toml");
/// The default policy.
pub(crate) const POLICY: &str = include_str!("../../demo/policy.toml");
/// The lender that the local runs send for.
pub(crate) const TENANT: &str = include_str!("../../demo/tenant.toml");
/// The most customers of a portfolio.
pub(crate) const CUSTOMERS_MAX: u32 = 200_000;

const HEADER: [&str; 18] = [
    "Cliente",
    "Nombre",
    "Tipo",
    "País",
    "Zona horaria",
    "Correo",
    "Celular",
    "Canal preferido",
    "Segmento",
    "Crédito",
    "Cuota",
    "Vence",
    "Valor",
    "Moneda",
    "Pagado el",
    "En disputa",
    "Autoriza correo",
    "Autoriza SMS",
];

const GIVEN: [&str; 32] = [
    "María",
    "José",
    "Luz Marina",
    "Juan Carlos",
    "Ana Lucía",
    "Carlos",
    "Diana",
    "Jorge",
    "Sofía",
    "Luis",
    "Camila",
    "Andrés",
    "Paola",
    "Óscar",
    "Rosa",
    "Miguel Ángel",
    "Yolanda",
    "Jesús",
    "Claudia",
    "Iván",
    "Gloria",
    "Héctor",
    "Marisol",
    "Víctor",
    "Flor",
    "Raúl",
    "Milagros",
    "César",
    "Begoña",
    "Percy",
    "Nélida",
    "Wílmer",
];
const FAMILY: [&str; 32] = [
    "García",
    "Rodríguez",
    "Martínez",
    "López",
    "González",
    "Quispe",
    "Flores",
    "Mamani",
    "Sánchez",
    "Ramírez",
    "Torres",
    "Díaz",
    "Rojas",
    "Muñoz",
    "Castaño",
    "Ospina",
    "Cárdenas",
    "Huamán",
    "Vásquez",
    "Chávez",
    "Ñáñez",
    "Peña",
    "Ibáñez",
    "Jiménez",
    "Londoño",
    "Zapata",
    "Mejía",
    "Salazar",
    "Condori",
    "Gutiérrez",
    "Arango",
    "Yupanqui",
];
const TRADES: [&str; 10] = [
    "Distribuidora",
    "Ferretería",
    "Panadería",
    "Transportes",
    "Confecciones",
    "Agropecuaria",
    "Droguería",
    "Comercializadora",
    "Imprenta",
    "Lácteos",
];
const PLACES: [&str; 10] = [
    "del Norte",
    "San Martín",
    "La Candelaria",
    "Los Andes",
    "El Porvenir",
    "Miraflores",
    "La 14",
    "Santa Rosa",
    "Tayrona",
    "del Sur",
];
/// Days from today to the due dates: what comes up, what is due, what is late, and how late.
const DUE_IN_DAYS: [i64; 24] =
    [-40, -31, -30, -22, -16, -15, -12, -9, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 3, 5, 9, 14, 25];

struct Market {
    country: &'static str,
    zone: &'static str,
    currency: &'static str,
    /// Instalments, in hundreds of the currency's major unit.
    hundreds: (i64, i64),
    /// The first digits of a mobile number, and how many follow.
    mobile: (&'static str, u32),
}

const COLOMBIA: Market = Market {
    country: "CO",
    zone: "America/Bogota",
    currency: "COP",
    hundreds: (400, 18_000),
    mobile: ("300", 7),
};
const PERU: Market =
    Market { country: "PE", zone: "America/Lima", currency: "PEN", hundreds: (1, 24), mobile: ("9", 8) };

/// The portfolio as a CSV file: semicolons, decimal commas, days first, as it is found in banks.
pub(crate) fn portfolio(customers: u32, seed: u64, today: NaiveDate) -> anyhow::Result<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for number in 0..customers {
        let customer = Customer::draw(&mut random, seed, number);
        let instalments = *[1, 1, 1, 2, 2, 3].choose(&mut random).unwrap_or(&1);
        for instalment in 0..instalments {
            let row = customer.row(&mut random, instalment, today);
            writer.write_record(row.iter().map(|field| neutralise_csv(field).into_owned()))?;
        }
    }
    Ok(writer.into_inner()?)
}

struct Customer {
    market: &'static Market,
    id: String,
    name: String,
    company: bool,
    email: String,
    mobile: String,
    channel: &'static str,
    segment: &'static str,
    loan: String,
    email_allowed: bool,
    sms_allowed: bool,
}

impl Customer {
    fn draw(random: &mut ChaCha8Rng, seed: u64, number: u32) -> Self {
        let market = if random.random_ratio(3, 5) { &COLOMBIA } else { &PERU };
        let company = random.random_ratio(1, 8);
        let (given, family) = (pick(random, &GIVEN), pick(random, &FAMILY));
        let name = if company {
            let form = if market.country == "CO" { "S.A.S." } else { "S.A.C." };
            format!("{} {} {form}", pick(random, &TRADES), pick(random, &PLACES))
        } else {
            format!("{given} {family} {}", pick(random, &FAMILY))
        };
        let id = format!("{}-{seed}-{number:06}", market.country);
        let (prefix, digits) = market.mobile;
        let mobile = format!(
            "{prefix}{:0width$}",
            random.random_range(0..10_u32.pow(digits)),
            width = digits as usize
        );
        Self {
            market,
            email: format!("cliente.{}@example.com", id.to_lowercase()),
            id,
            name,
            company,
            mobile,
            channel: pick(random, &["correo", "SMS", ""]),
            segment: pick(random, &["consumo", "consumo", "microcrédito", "libranza"]),
            loan: format!("CR-{:07}", random.random_range(0..10_000_000)),
            // One in twenty-five asked for no more SMS, one in forty for no more email.
            sms_allowed: !random.random_ratio(1, 25),
            email_allowed: !random.random_ratio(1, 40),
        }
    }

    fn row(&self, random: &mut ChaCha8Rng, instalment: u32, today: NaiveDate) -> [String; 18] {
        let due_in = *DUE_IN_DAYS.choose(random).unwrap_or(&0);
        let due_on = shifted(today, due_in);
        let (least, most) = self.market.hundreds;
        let whole = random.random_range(least..most) * 100;
        let amount = if self.market.currency == "COP" {
            whole.to_string()
        } else {
            format!("{},{:02}", whole + random.random_range(0..100), random.random_range(0..100))
        };
        // One in six of the past due is paid by now, one in twenty of them is disputed.
        let paid_on = (due_in < 0 && random.random_ratio(1, 6))
            .then(|| shifted(due_on, random.random_range(0..=-due_in)).format("%d/%m/%Y").to_string());
        let disputed = due_in < 0 && paid_on.is_none() && random.random_ratio(1, 20);
        let yes_no = |yes: bool| if yes { "sí" } else { "no" }.to_owned();
        [
            self.id.clone(),
            self.name.clone(),
            if self.company { "empresa" } else { "persona" }.to_owned(),
            self.market.country.to_owned(),
            self.market.zone.to_owned(),
            self.email.clone(),
            self.mobile.clone(),
            self.channel.to_owned(),
            self.segment.to_owned(),
            self.loan.clone(),
            format!("{}-{}", self.id, instalment + 1),
            due_on.format("%d/%m/%Y").to_string(),
            amount,
            self.market.currency.to_owned(),
            paid_on.unwrap_or_default(),
            yes_no(disputed),
            yes_no(self.email_allowed),
            yes_no(self.sms_allowed),
        ]
    }
}

fn pick(random: &mut ChaCha8Rng, from: &'static [&'static str]) -> &'static str {
    from.choose(random).copied().unwrap_or_default()
}

fn shifted(on: NaiveDate, days: i64) -> NaiveDate {
    let by = Days::new(days.unsigned_abs());
    if days < 0 { on.checked_sub_days(by) } else { on.checked_add_days(by) }.unwrap_or(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_file() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let one = portfolio(50, 7, today).unwrap();
        assert_eq!(one, portfolio(50, 7, today).unwrap());
        assert_ne!(one, portfolio(50, 8, today).unwrap());
        assert!(one.split(|b| *b == b'\n').count() > 50);
    }
}
