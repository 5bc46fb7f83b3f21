//! Workflow inputs that operators type.
//!
//! An input that cannot be parsed would fail the workflow *task*, which Temporal retries for ever:
//! the workflow would look as if it ran. These types accept any input, so that an invalid one fails
//! the workflow, with a message.

use serde::Serialize;
use serde::de::DeserializeOwned;
use temporalio_common::data_converters::{
    GenericPayloadConverter, PayloadConversionError, SerializationContext, TemporalDeserializable,
    TemporalSerializable,
};
use temporalio_common::error::ApplicationFailure;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_workflow::{WorkflowResult, WorkflowTermination};

/// A workflow's one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<T> {
    Valid(T),
    /// No argument, or `null`.
    Missing,
    /// An argument that is not of the type, and the problem.
    Invalid(String),
}

impl<T> Input<T> {
    /// Returns the argument; fails the workflow if there is none. `expected` completes "expected
    /// ...".
    pub(crate) fn required(self, expected: &str) -> WorkflowResult<T> {
        match self {
            Self::Valid(value) => Ok(value),
            Self::Missing => Err(invalid(format!("no input: expected {expected}"))),
            Self::Invalid(problem) => Err(invalid(format!(
                "invalid input: {problem}; expected {expected}"
            ))),
        }
    }

    /// Returns the argument, or the default if there is none; fails the workflow if it is invalid.
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
                Ok(Some(value)) => Self::Valid(value),
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
            (Some(_), count) => Ok(Self::Invalid(format!("expected one argument, got {count}"))),
        }
    }
}

impl<T: Serialize + 'static> TemporalSerializable for Input<T> {
    fn to_payload(
        &self,
        context: &SerializationContext<'_>,
    ) -> Result<Payload, PayloadConversionError> {
        match self {
            Self::Valid(value) => context.converter.to_payload(context, value),
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

/// The input of a workflow without arguments; any arguments are ignored.
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
