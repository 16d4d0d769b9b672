//! `portway completions`: what a shell needs to complete command lines.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;
use clap_complete::generate;

/// For which shell.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> ExitCode {
    super::say(&script(args.shell));
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut super::command(), "portway", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_verbs() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["check", "users", "import", "status"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
