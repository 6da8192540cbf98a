//! The journal from its own crate: what only an insider can arrange.

use super::*;

#[test]
fn a_writer_that_panics_answers_every_append_and_fails_for_good() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(data.path(), &JournalOptions::new("test", "hash")).unwrap();
    let handle = journal.handle();
    let note = Record::DaemonStopped { epoch: Epoch(1), reason: "n".into() };
    let entry = Entry { at: Timestamp(1), record: note };
    let (queued, later) = std::sync::mpsc::channel();
    let queued_handle = handle.clone();
    let second = entry.clone();
    let panics = Ack::Callback(Box::new(move |_| {
        let answer = move |result| drop(queued.send(result));
        queued_handle.append(vec![second], Ack::Callback(Box::new(answer))).unwrap();
        panic!("a callback that panics, on purpose");
    }));
    handle.append(vec![entry.clone()], panics).unwrap();
    assert!(later.recv().unwrap().is_err(), "what was queued behind the panic is answered");
    assert!(journal.close("end").is_err());
    assert!(handle.failure().unwrap().to_string().contains("panicked"));
    assert!(handle.append(vec![entry], Ack::None).is_err());
}
