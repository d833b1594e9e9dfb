//! How many rows of a CSV file the import parses and validates a second, phones and emails included.

use std::fmt::Write as _;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use domain::import::mapping::Mapping;
use import_accounts::{ReadOptions, RowOutcome, read_records};

const MAPPING: &str = include_str!("../../../infra/demo/portfolio.toml");
const ROWS: usize = 100_000;

fn main() {
    divan::main();
}

/// A file of the demo's form, every row with its own customer, email, mobile number and amount.
fn file() -> String {
    let mut text = String::from(
        "Cliente;Nombre;Tipo;País;Zona horaria;Correo;Celular;Canal preferido;Segmento;Crédito;Cuota;Vence;Valor;\
         Moneda;Pagado el;En disputa;Autoriza correo;Autoriza SMS\n",
    );
    for i in 0..ROWS {
        let (country, zone, phone, currency) = if i % 5 < 3 {
            ("CO", "America/Bogota", format!("300{:07}", i * 31 % 10_000_000), "COP")
        } else {
            ("PE", "America/Lima", format!("9{:08}", 10_000_000 + i * 17 % 80_000_000), "PEN")
        };
        writeln!(
            text,
            "{country}-7-{i:06};María Ospina Ñáñez;persona;{country};{zone};cliente.{i}@example.com;{phone};SMS;consumo;\
             CR-{i:07};{country}-7-{i:06}-1;{:02}/{:02}/2026;{}.{:03},{:02};{currency};;no;sí;sí",
            i % 28 + 1,
            i % 12 + 1,
            i % 900 + 1,
            i % 1_000,
            i % 100,
        )
        .expect("writing to a text does not fail");
    }
    text
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn rows_parsed(bencher: Bencher<'_, '_>) {
    let mapping = Mapping::parse(MAPPING).expect("the demo's mapping can be read");
    let text = file();
    let read = || {
        let mut good = 0_usize;
        let summary = read_records(text.as_bytes(), &mapping, ReadOptions::default(), &mut |outcome| {
            good += usize::from(matches!(outcome, RowOutcome::Record(_)));
            Ok(())
        });
        assert_eq!(summary.map(|s| s.bad).ok(), Some(0));
        good
    };
    assert_eq!(read(), ROWS);
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::new(text.len())).bench(read);
}
