//! What the verbs that only look share: asking for one answer and showing it to a person or a program.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, block_on};
use crate::follow::{print_json, print_text};
use crate::show::style::Style;
use crate::{Context, Failure, project};

/// Asks for what stands under a path of a service, the one of this folder where none is named, and prints it.
pub(super) fn at<T: Serialize + DeserializeOwned>(
    context: &Context,
    service: Option<&str>,
    path: &str,
    text: fn(&T, Style) -> String,
) -> Result<T, Failure> {
    let service = project::service(service)?;
    let path = format!("/v1/services/{service}{path}");
    let answer: T = block_on(async { Client::new(context).get(&path).await })?;
    print(context, &answer, text)?;
    Ok(answer)
}

/// Prints an answer: as JSON where that was asked for, else as people read it.
pub(super) fn print<T: Serialize>(context: &Context, answer: &T, text: fn(&T, Style) -> String) -> Result<(), Failure> {
    if context.json { print_json(answer) } else { print_text(&text(answer, Style::of_stdout())) }
}
