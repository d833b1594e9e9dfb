//! One touch with its message, for the tests of every backend.

use chrono::{DateTime, NaiveDate};
use domain::channel::{Channel, Purpose, Tone};
use domain::choice::SignedLink;
use domain::contact::{Address, ContactPoint};
use domain::ids::{CustomerId, ObligationId, PolicyId, StageId, TemplateId, TenantId, TouchId};
use domain::template::Message;
use domain::tenant::Lender;
use domain::touch::{Touch, TouchItem};

use crate::Outgoing;

pub(crate) struct Sample {
    pub(crate) tenant: TenantId,
    pub(crate) touch: Touch,
    pub(crate) to: ContactPoint,
    pub(crate) lender: Lender,
    pub(crate) message: Message,
    pub(crate) opt_out_link: Option<SignedLink>,
}

impl Sample {
    pub(crate) fn email() -> Self {
        Self::new(Channel::Email, "ana@example.com")
    }

    #[cfg(feature = "sns")]
    pub(crate) fn sms() -> Self {
        Self::new(Channel::Sms, "+573000000000")
    }

    pub(crate) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            tenant: &self.tenant,
            touch: &self.touch,
            to: &self.to,
            lender: &self.lender,
            message: &self.message,
            opt_out_link: self.opt_out_link.as_ref(),
            at: DateTime::parse_from_rfc3339("2025-02-28T08:00:00.250-05:00").unwrap(),
        }
    }

    fn new(channel: Channel, address: &str) -> Self {
        let due_on = NaiveDate::from_ymd_opt(2025, 3, 3).unwrap();
        let stage = StageId::new("before-3").unwrap();
        let item = TouchItem {
            obligation: ObligationId::new("611365").unwrap(),
            due_on,
            stage: stage.clone(),
            dpd: -3,
        };
        let touch = Touch {
            id: TouchId::new("0f3a9c5e7b1d2f4a").unwrap(),
            customer: CustomerId::new("7590-VHVEG").unwrap(),
            on: NaiveDate::from_ymd_opt(2025, 2, 28).unwrap(),
            send_at: DateTime::parse_from_rfc3339("2025-02-28T08:00:00-05:00").unwrap().to_utc(),
            channel,
            stage,
            tone: Tone::Friendly,
            purpose: Purpose::PreDue,
            template: TemplateId::new("friendly").unwrap(),
            items: vec![item],
            policy: PolicyId::new("default").unwrap(),
            policy_version: 1,
        };
        let mail = channel == Channel::Email;
        Self {
            tenant: TenantId::new("caja_sur").unwrap(),
            touch,
            to: ContactPoint { channel, address: Address::new(address), test: false },
            lender: Lender {
                name: "Caja Sureña".into(),
                phone: "+576010000000".into(),
                email: "cobros@example.org".into(),
                ways_to_pay: vec!["En caja".into()],
                opt_out_email: "Responda BAJA".into(),
                opt_out_sms: "BAJA".into(),
            },
            message: Message {
                subject: mail.then(|| "Su cuota vence el lunes".into()),
                text: "Hola, su cuota de $ 150.000 vence mañana.".into(),
                html: mail.then(|| "<p>Hola, su cuota vence mañana.</p>".into()),
                sms: None,
            },
            opt_out_link: None,
        }
    }
}
