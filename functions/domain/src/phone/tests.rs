//! Telephone numbers: the vectors, a wider sample, and the fast path against the general one.

use proptest::prelude::*;

use super::*;

const COUNTRIES: [&str; 8] = ["CO", "PE", "MX", "CL", "EC", "AR", "BR", "US"];

fn country(code: &str) -> Country {
    Country::new(code).unwrap()
}

/// The answer in the columns of the sample file: validity, E.164 form, kind.
fn answer(region: &str, input: &str) -> String {
    match parse(country(region), input) {
        Ok(phone) => format!("true,{},{}", phone.e164.reveal(), phone.kind),
        Err(_) => "false,,unknown".to_owned(),
    }
}

fn check_rows(mut reader: csv::Reader<impl std::io::Read>) -> usize {
    let mut count = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let expected = format!("{},{},{}", &row[2], &row[3], &row[4]);
        assert_eq!(answer(&row[0], &row[1]), expected, "{} {:?}", &row[0], &row[1]);
        count += 1;
    }
    count
}

#[test]
fn every_sample_is_read_as_expected() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/vectors/phone.csv");
    match csv::Reader::from_path(path) {
        Ok(reader) => assert!(check_rows(reader) >= 11),
        Err(_) => println!("skipped: ../shared/facts/vectors/phone.csv is missing"),
    }
}

#[test]
fn made_up_numbers_are_read_as_libphonenumber_reads_them() {
    // Written by the Python port of libphonenumber, release 9.0.43, from random digits and separators.
    assert_eq!(check_rows(csv::Reader::from_reader(&include_bytes!("samples.csv")[..])), 420);
}

#[test]
fn a_refusal_says_why_without_the_number() {
    for (input, error) in [
        (" ", PhoneError::Empty),
        ("sin teléfono", PhoneError::NotANumber),
        ("3001234567+1", PhoneError::NotANumber),
        ("+99912345678", PhoneError::UnknownCallingCode),
        ("12", PhoneError::NotInPlan { calling_code: 57 }),
        ("300123456", PhoneError::NotInPlan { calling_code: 57 }),
        ("300123456712345678901234567890", PhoneError::TooLong),
        ("+5", PhoneError::NotANumber),
    ] {
        assert_eq!(parse(country("CO"), input), Err(error), "{input}");
        assert!(!error.to_string().contains("3001234567"));
    }
    let nowhere = country("ZZ");
    assert_eq!(parse(nowhere, "3001234567"), Err(PhoneError::UnknownCountry(nowhere)));
    assert_eq!(parse(nowhere, "+573001234567").unwrap().e164.reveal(), "+573001234567");
    let printed = format!("{:?}", parse(country("CO"), "3001234567").unwrap());
    assert!(!printed.contains("300123"), "{printed}");
}

#[test]
fn every_numbering_plan_compiles() {
    assert!(Plan::compile_all() > 240);
}

proptest! {
    #[test]
    fn the_short_way_and_the_long_way_agree(
        region in proptest::sample::select(&COUNTRIES[..]),
        input in "[ (+]{0,2}(57|51|52|56|593|54|55|1|0|00|044|)[-0-9 .()+]{0,14}[0-9]{0,4}[ .)]?",
    ) {
        let region = country(region);
        prop_assert_eq!(parse(region, &input), parse_any(region, &input));
    }

    #[test]
    fn what_was_read_is_read_again_as_the_same(
        region in proptest::sample::select(&COUNTRIES[..]),
        input in "(\\+(57|51|52|56|593|54|55|1)|0|)[1-9][0-9]{7,10}",
    ) {
        if let Ok(phone) = parse(country(region), &input) {
            for other in COUNTRIES {
                prop_assert_eq!(parse(country(other), phone.e164.reveal()), Ok(phone.clone()));
            }
        }
    }

    #[test]
    fn no_text_breaks_the_reader(input in "\\PC{0,30}") {
        let _ = parse(country("CO"), &input);
    }
}
