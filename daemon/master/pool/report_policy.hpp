#pragma once
// Which reports of a worker the master believes.  Pure.
#include "common/channel/channel.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

enum class ReportVerdict {
    Accept,
    Ignore,     ///< crossed with an order that it did not know of yet, or said once more what is known
    OutOfTurn,  ///< no worker says that now: it is not what the master has forked any more
};

/// What a worker may say by what it is told and has said.  One that has `failed` exits, and has said its last word.
///
///              Ready       Paused, Full  Retiring    Failed      Extend
///   Starting   accept      out of turn   out of turn accept      accept   a copy of a program has asked for time
///   Ready      out of turn accept        accept      accept      ignore
///   Retiring   out of turn accept        ignore      accept      ignore
///   Leaving    ignore      accept        ignore      accept      accept   it may have been told so before it was ready
///   Doomed     ignore      accept        ignore      accept      ignore
///   failed     out of turn out of turn   out of turn out of turn out of turn
[[nodiscard]] constexpr ReportVerdict judge(WorkerEntry::State state, bool failed, Report::Kind kind) noexcept {
    using State = WorkerEntry::State;
    if (failed) return ReportVerdict::OutOfTurn;
    const bool is_going = state == State::Leaving || state == State::Doomed;
    switch (kind) {
        case Report::Kind::Ready:
            if (is_going) return ReportVerdict::Ignore;
            return state == State::Starting ? ReportVerdict::Accept : ReportVerdict::OutOfTurn;
        case Report::Kind::Paused:
        case Report::Kind::Full: return state == State::Starting ? ReportVerdict::OutOfTurn : ReportVerdict::Accept;
        case Report::Kind::Retiring:
            if (state == State::Starting) return ReportVerdict::OutOfTurn;
            return state == State::Ready ? ReportVerdict::Accept : ReportVerdict::Ignore;
        case Report::Kind::Failed: return ReportVerdict::Accept;
        case Report::Kind::Extend:
            return state == State::Starting || state == State::Leaving ? ReportVerdict::Accept : ReportVerdict::Ignore;
    }
    return ReportVerdict::OutOfTurn;
}

[[nodiscard]] constexpr const char* name_of(Report::Kind kind) noexcept {
    switch (kind) {
        case Report::Kind::Ready: return "ready";
        case Report::Kind::Paused: return "paused";
        case Report::Kind::Retiring: return "retiring";
        case Report::Kind::Failed: return "failed";
        case Report::Kind::Full: return "full";
        case Report::Kind::Extend: return "extend";
    }
    return "";
}

/// How many reports the master reads of one worker before it looks at others.
inline constexpr int reports_in_turn = 64;

static_assert(judge(WorkerEntry::State::Starting, false, Report::Kind::Ready) == ReportVerdict::Accept);
static_assert(judge(WorkerEntry::State::Ready, false, Report::Kind::Ready) == ReportVerdict::OutOfTurn);

}  // namespace preforkd
