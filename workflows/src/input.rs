//! Inputs that people type.
//!
//! An input that cannot be read would fail the workflow *task*, which Temporal tries again for ever: the workflow would look as
//! if it ran. These types read any input, so that a wrong one fails the workflow, with a message.

use serde::Serialize;
use serde::de::DeserializeOwned;
use temporalio_common::data_converters::{
    GenericPayloadConverter, PayloadConversionError, SerializationContext, TemporalDeserializable,
    TemporalSerializable,
};
use temporalio_common::error::ApplicationFailure;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_workflow::{WorkflowResult, WorkflowTermination};

/// A workflow's one argument, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<T> {
    Given(T),
    /// No argument, or `null`.
    Missing,
    /// An argument that is none of the kind, and what is wrong with it.
    Invalid(String),
}

impl<T> Input<T> {
    /// The argument; fails the workflow where there is none. `expected` completes "expected ...".
    pub(crate) fn required(self, expected: &str) -> WorkflowResult<T> {
        match self {
            Self::Given(value) => Ok(value),
            Self::Missing => Err(invalid(format!("no input: expected {expected}"))),
            Self::Invalid(problem) => Err(invalid(format!(
                "invalid input: {problem}; expected {expected}"
            ))),
        }
    }

    /// The argument, or what stands for its absence; fails the workflow where it is invalid.
    pub(crate) fn or_default(self, expected: &str) -> WorkflowResult<T>
    where
        T: Default,
    {
        match self {
            Self::Missing => Ok(T::default()),
            input => input.required(expected),
        }
    }
}

fn invalid(message: String) -> WorkflowTermination {
    ApplicationFailure::builder(std::io::Error::other(message))
        .type_name("InvalidInput".to_owned())
        .non_retryable(true)
        .build()
        .into()
}

impl<T: DeserializeOwned + 'static> TemporalDeserializable for Input<T> {
    fn from_payload(
        context: &SerializationContext<'_>,
        payload: Payload,
    ) -> Result<Self, PayloadConversionError> {
        Ok(
            match context
                .converter
                .from_payload::<Option<T>>(context, payload)
            {
                Ok(Some(value)) => Self::Given(value),
                Ok(None) => Self::Missing,
                Err(error) => Self::Invalid(error.to_string()),
            },
        )
    }

    fn from_payloads(
        context: &SerializationContext<'_>,
        payloads: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        let count = payloads.len();
        match (payloads.into_iter().next(), count) {
            (None, _) => Ok(Self::Missing),
            (Some(payload), 1) => Self::from_payload(context, payload),
            (Some(_), count) => Ok(Self::Invalid(format!("{count} arguments instead of one"))),
        }
    }
}

impl<T: Serialize + 'static> TemporalSerializable for Input<T> {
    fn to_payload(
        &self,
        context: &SerializationContext<'_>,
    ) -> Result<Payload, PayloadConversionError> {
        match self {
            Self::Given(value) => context.converter.to_payload(context, value),
            Self::Missing => context.converter.to_payload(context, &()),
            Self::Invalid(problem) => Err(PayloadConversionError::EncodingError(
                problem.clone().into(),
            )),
        }
    }

    fn to_payloads(
        &self,
        context: &SerializationContext<'_>,
    ) -> Result<Vec<Payload>, PayloadConversionError> {
        match self {
            Self::Missing => Ok(Vec::new()),
            input => Ok(vec![input.to_payload(context)?]),
        }
    }
}

/// The input of a workflow that takes none; what is given all the same changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoInput;

impl TemporalDeserializable for NoInput {
    fn from_payload(
        _: &SerializationContext<'_>,
        _: Payload,
    ) -> Result<Self, PayloadConversionError> {
        Ok(Self)
    }

    fn from_payloads(
        _: &SerializationContext<'_>,
        _: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        Ok(Self)
    }
}

impl TemporalSerializable for NoInput {
    fn to_payload(
        &self,
        context: &SerializationContext<'_>,
    ) -> Result<Payload, PayloadConversionError> {
        context.converter.to_payload(context, &())
    }

    fn to_payloads(
        &self,
        _: &SerializationContext<'_>,
    ) -> Result<Vec<Payload>, PayloadConversionError> {
        Ok(Vec::new())
    }
}
