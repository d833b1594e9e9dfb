//! The claims that the JWT authorizer of API Gateway verified.
//!
//! Invariant: they are read from the context that Lambda puts beside the request, which no caller can write.

use std::collections::HashMap;

use axum::http::Extensions;
use lambda_http::request::RequestContext;
use serde_json::Value;

use super::Claims;

/// The claims of a request; `None` where no authorizer let it through.
pub(super) fn claims(extensions: &Extensions) -> Option<Claims> {
    let RequestContext::ApiGatewayV2(context) = extensions.get::<RequestContext>()? else { return None };
    of_texts(context.authorizer.as_ref()?.jwt.as_ref()?.claims.clone())
}

/// Claims of which every one is a text.
pub(super) fn of_texts(claims: HashMap<String, String>) -> Option<Claims> {
    let object = claims.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    serde_json::from_value(Value::Object(object)).ok()
}
