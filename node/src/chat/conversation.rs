//! The messages of a conversation, and the commands that a line may hold.

use shoal_proto::generate::ChatMessage;

/// The system message, the questions and the answers.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Option<String>,
    turns: Vec<ChatMessage>,
}

/// The meaning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Text(String),
    Reset,
    /// An empty text removes the system message.
    System(String),
    Quit,
    /// It looks like a command and is not one.
    Unknown(String),
    Nothing,
}

pub(super) fn read(line: &str) -> Command {
    let line = line.trim_end();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "" if rest.trim().is_empty() => Command::Nothing,
        "/reset" => Command::Reset,
        "/system" => Command::System(rest.trim().to_owned()),
        "/quit" | "/exit" | "/bye" => Command::Quit,
        _ => match word.strip_prefix('/') {
            // `/usr/bin` is a question, `/rest` a mistyped command.
            Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()) => {
                Command::Unknown(word.to_owned())
            }
            _ => Command::Text(line.trim().to_owned()),
        },
    }
}

impl Conversation {
    pub(super) fn new(system: Option<String>) -> Self {
        Self { system: system.filter(|text| !text.is_empty()), turns: Vec::new() }
    }

    /// Removes everything but the system message.
    pub(super) fn reset(&mut self) {
        self.turns.clear();
    }

    /// A new system message starts a new conversation, because the old answers follow the old one.
    pub(super) fn rule(&mut self, text: String) {
        *self = Self::new(Some(text));
    }

    pub(super) fn ask(&mut self, text: String) {
        self.turns.push(ChatMessage::new("user", text));
    }

    pub(super) fn push_answer(&mut self, text: String) {
        self.turns.push(ChatMessage::new("assistant", text));
    }

    /// Removes the last question, which had no answer: templates need questions and answers to alternate.
    pub(super) fn take_back(&mut self) {
        self.turns.pop();
    }

    pub(super) fn messages(&self) -> Vec<ChatMessage> {
        let system = self.system.iter().map(|text| ChatMessage::new("system", text));
        system.chain(self.turns.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_it_is_said() {
        assert_eq!(read("/reset"), Command::Reset);
        assert_eq!(read("/system  be brief "), Command::System("be brief".to_owned()));
        assert_eq!(read("/system"), Command::System(String::new()));
        assert_eq!(read("/quit\r\n"), Command::Quit);
        assert_eq!(read("/rest"), Command::Unknown("/rest".to_owned()));
        assert_eq!(read("   "), Command::Nothing);
        for text in ["/usr/bin holds what?", "/ is what?", "1/2"] {
            assert_eq!(read(text), Command::Text(text.to_owned()));
        }
        assert_eq!(read(" /reset"), Command::Text("/reset".to_owned()));
    }

    #[test]
    fn the_rules_outlive_a_reset() {
        let mut talk = Conversation::new(Some("be brief".to_owned()));
        talk.ask("1".to_owned());
        talk.push_answer("2".to_owned());
        assert_eq!(roles(&talk), ["system", "user", "assistant"]);
        talk.reset();
        assert_eq!(roles(&talk), ["system"]);
        talk.rule(String::new());
        assert!(talk.messages().is_empty());
    }

    fn roles(talk: &Conversation) -> Vec<String> {
        talk.messages().into_iter().map(|message| message.role).collect()
    }
}
