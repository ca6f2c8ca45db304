#include "persistence/aof_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/numbers.h"
#include "persistence/note_format.h"

namespace quartet::persistence {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
/// Values may be longer than what clients may send at present: the setting may have been another one.
constexpr protocol::ParserLimits kFileLimits{.bulk_bytes = std::numeric_limits<int64_t>::max() / 2};

bool is_word(const std::vector<std::string_view>& arguments, std::string_view word) {
  return arguments.size() == 1 && equals_ignoring_case(arguments[0], word);
}

/// `#TS:<seconds>\r\n`, which redis-server writes under aof-timestamp-enabled.
bool is_timestamp(std::string_view line) {
  return line.starts_with("#TS:") && line.ends_with("\r\n") &&
         parse_int(line.substr(4, line.size() - 6)).has_value();
}

/// Whether each argument stands between line ends, which the parser, as of a client, takes for granted.
bool has_line_ends(const std::vector<std::string_view>& arguments) {
  for (const std::string_view argument : arguments) {
    const std::string_view before(argument.data() - 2, 2), after(argument.data() + argument.size(), 2);
    if (before != "\r\n" || after != "\r\n") return false;
  }
  return true;
}

}  // namespace

AofReader::AofReader(File& file, Apply apply, uint64_t begin)
    : file_(file), apply_(std::move(apply)), window_offset_(begin) {}

AofReader::Status AofReader::fail(const Error& error) {
  reason_ = error.text;
  return Status::Failed;
}

AofReader::Status AofReader::corrupt(std::string reason) {
  reason_ = std::move(reason);
  return Status::Corrupt;
}

/// Something that may be what a power cut leaves, unless it was on disk once: what is behind it tells.
AofReader::Status AofReader::torn(std::string reason) {
  reason_ = std::move(reason);
  scan_.emplace(file_, offset());
  return Status::Torn;
}

/// Something that is no beginning of what belongs here. Without annotations it passes for a torn tail only where it is
/// the beginning of commands and then zeros.
AofReader::Status AofReader::damaged(std::string reason) {
  if (offset() < batch_end_) return corrupt(std::move(reason));  // the checksum says that it was written so
  only_zeros_ = !has_batches_ || left_batches_;
  return torn(std::move(reason));
}

AofReader::Status AofReader::look_behind_damage(size_t budget) {
  const Result<bool> more = scan_->step(budget);
  if (!more) return fail(more.error());
  if (*more) return Status::More;
  if (scan_->declared_synced()) return Status::Corrupt;
  bool does = true;
  if (only_zeros_ && ends_in_zeros(scan_->zeros_begin(), does) == Need::Failed) return Status::Failed;
  return does ? Status::Torn : Status::Corrupt;
}

/// Whether there is nothing but the beginning of commands up to the zeros. No more is read than these commands are
/// long.
AofReader::Need AofReader::ends_in_zeros(uint64_t zeros_begin, bool& does) {
  does = false;
  if (zeros_begin == size_) return Need::Have;
  const auto length = static_cast<size_t>(zeros_begin - offset());
  std::vector<std::string_view> arguments;
  size_t at = 0, wanted = 0;
  parser_.reset();
  while (at < length) {
    wanted = std::min(std::max(wanted, at + 1), length);
    if (const Need needed = need(wanted); needed != Need::Have) return needed;
    const std::string_view commands = rest().substr(0, length).substr(at);
    arguments.clear();
    if (!commands.starts_with('*')) return Need::Have;
    const protocol::RequestParser::Status status = parser_.next(commands, kFileLimits, arguments);
    if (status == protocol::RequestParser::Status::Complete) {
      at += parser_.consumed();
    } else if (status != protocol::RequestParser::Status::Incomplete) {
      return Need::Have;
    } else if (commands.size() == length - at) {
      break;
    } else {
      wanted = at + std::max(parser_.needed(), commands.size() + 1);
    }
  }
  does = true;
  return Need::Have;
}

AofReader::Status AofReader::step(size_t budget) {
  if (!size_known_) {
    const Result<uint64_t> size = file_.size();
    if (!size) return fail(size.error());
    size_ = *size;
    size_known_ = true;
  }
  if (scan_) return look_behind_damage(budget);
  const uint64_t target = offset() + budget;
  while (offset() < size_) {
    const Status status = read_item();
    if (scan_) return Status::More;
    if (status != Status::More) return status;
    if (offset() >= target) return Status::More;
  }
  return Status::Done;
}

/// Sees to it that the window holds `count` bytes from `done_` on.
AofReader::Need AofReader::need(size_t count) {
  if (window_.size() - done_ >= count) return Need::Have;
  if (count > size_ - offset()) return Need::AtEnd;
  window_.erase(0, done_);
  window_offset_ += done_;
  done_ = 0;
  while (window_.size() < count) {
    const size_t have = window_.size();
    const uint64_t left = size_ - window_offset_ - have;
    window_.resize(have + std::min<uint64_t>(left, std::max(count - have, kReadBytes)));
    const Result<size_t> got = file_.read(window_offset_ + have, std::span(window_).subspan(have));
    window_.resize(have + (got ? *got : 0));
    if (!got) {
      reason_ = got.error().text;
      return Need::Failed;
    }
    if (*got == 0) return Need::AtEnd;
  }
  return Need::Have;
}

/// One unit, or one comment, or one annotation.
AofReader::Status AofReader::read_item() {
  if (offset() < batch_end_) return read_unit();
  const size_t head = static_cast<size_t>(std::min<uint64_t>(kAnnotationBytes, size_ - offset()));
  switch (need(head)) {
    case Need::Have: break;
    case Need::AtEnd: return corrupt("the file has become shorter");
    case Need::Failed: return Status::Failed;
  }
  if (rest().front() == '*') {
    left_batches_ = has_batches_;
    return read_unit();
  }
  if (const std::optional<Annotation> annotation = read_annotation(rest(), offset())) return begin_batch(*annotation);
  if (rest().front() == '#') return read_comment();
  return damaged("neither a command nor an annotation");
}

AofReader::Status AofReader::begin_batch(const Annotation& annotation) {
  if (left_batches_ || (!has_batches_ && offset() > 0)) return corrupt("a batch behind what is none");
  if (annotation.synced > offset()) return corrupt("a batch that claims to be synced");
  has_batches_ = true;
  switch (need(kAnnotationBytes + annotation.length)) {
    case Need::Have: break;
    case Need::AtEnd: return torn("the file ends within a batch");
    case Need::Failed: return Status::Failed;
  }
  if (crc32c(rest().substr(kAnnotationBytes, annotation.length)) != annotation.body_crc) {
    return torn("the checksum of a batch is wrong");
  }
  ++batches_;
  done_ += kAnnotationBytes;
  batch_end_ = offset() + annotation.length;
  return Status::More;
}

/// A comment of a file without batches, or what redis-server appended to one with them. An annotation that is damaged
/// must not pass for one.
AofReader::Status AofReader::read_comment() {
  size_t length = 0;
  if (const Status status = skip_comment(done_, length); status != Status::More) return status;
  left_batches_ = has_batches_;
  done_ += length;
  return Status::More;
}

AofReader::Status AofReader::skip_comment(size_t at, size_t& length) {
  const size_t before = at - done_;
  const size_t most = static_cast<size_t>(std::min<uint64_t>(limits::kAofCommentBytes, size_ - offset() - before));
  if (need(before + most) == Need::Failed) return Status::Failed;
  const std::string_view text = rest().substr(before, most);
  const size_t end = text.find('\n');
  if (text.starts_with(kAnnotationMark)) {
    // At the beginning it says what kind of file this is.
    return offset() == 0 ? torn("an annotation is damaged") : damaged("an annotation is damaged");
  }
  if (end == std::string_view::npos) {
    return most < limits::kAofCommentBytes ? torn("the file ends within a comment") : damaged("a comment is too long");
  }
  if (has_batches_ && !is_timestamp(text.substr(0, end + 1))) return damaged("an annotation is damaged");
  length = end + 1;
  return Status::More;
}

/// The note of a command, if there is one at `at` of the window. REQUIRES: within a batch.
AofReader::Status AofReader::take_note(size_t at, size_t& length) {
  const std::string_view text = rest().substr(at - done_, batch_end_ - offset() - (at - done_));
  length = 0;
  note_.reset();
  if (!text.starts_with(kNoteMark)) return Status::More;
  const size_t end = text.find("\r\n");
  if (end == text.npos) return corrupt("a batch ends within a note");
  note_ = parse_note(text.substr(kNoteMark.size(), end - kNoteMark.size()));
  if (!note_) return corrupt("a note that makes no sense");
  length = end + 2;
  return Status::More;
}

/// The command at `at` of the window, into `arguments_`. More means that it is there.
AofReader::Status AofReader::read_command(size_t at) {
  const bool in_batch = offset() < batch_end_;
  parser_.reset();
  arguments_.clear();
  size_t before = at - done_;
  size_t wanted = before + 1;
  while (true) {
    if (!in_batch) {
      switch (need(wanted)) {
        case Need::Have: break;
        case Need::AtEnd: return torn("the file ends within a command");
        case Need::Failed: return Status::Failed;
      }
    }
    const size_t available = in_batch ? static_cast<size_t>(batch_end_ - offset()) : rest().size();
    if (before >= available) return corrupt("a batch ends within a unit");
    const std::string_view input = rest().substr(before, available - before);
    if (input.front() != '*') return damaged("not a command");
    switch (parser_.next(input, kFileLimits, arguments_)) {
      case protocol::RequestParser::Status::Complete:
        return has_line_ends(arguments_) ? Status::More : damaged("an argument without its line ends");
      case protocol::RequestParser::Status::Empty: return damaged("an empty command");
      case protocol::RequestParser::Status::Error: return damaged(parser_.error());
      case protocol::RequestParser::Status::Incomplete: break;
    }
    if (in_batch) return corrupt("a batch ends within a command");
    wanted = before + parser_.needed();
  }
}

/// One command, or all from MULTI to EXEC: these are read first and only then, in a second pass, executed.
AofReader::Status AofReader::read_unit() {
  const bool in_batch = offset() < batch_end_;
  size_t length = 0;
  for (bool in_unit = false;;) {
    if (in_unit && !in_batch && offset() + length >= size_) return torn("the file ends within a unit");
    if (in_unit && !in_batch && need(length + 1) == Need::Failed) return Status::Failed;
    if (in_unit && !in_batch && rest()[length] == '#') {
      size_t comment = 0;
      if (const Status status = skip_comment(done_ + length, comment); status != Status::More) return status;
      length += comment;
      continue;
    }
    if (in_batch) {
      size_t note = 0;
      if (const Status status = take_note(done_ + length, note); status != Status::More) return status;
      length += note;
    }
    if (const Status status = read_command(done_ + length); status != Status::More) return status;
    length += parser_.consumed();
    if (!in_unit) {
      in_unit = is_word(arguments_, "multi");
      if (in_unit) continue;
      if (is_word(arguments_, "exec")) return corrupt("EXEC without MULTI");
      if (const Status status = deliver(); status != Status::More) return status;
      break;
    }
    if (is_word(arguments_, "multi")) return corrupt("MULTI within MULTI");
    if (!is_word(arguments_, "exec")) continue;
    if (const Status status = deliver_unit(length); status != Status::More) return status;
    break;
  }
  done_ += length;
  return Status::More;
}

AofReader::Status AofReader::deliver_unit(size_t end) {
  const bool in_batch = offset() < batch_end_;
  size_t at = 0;
  while (at < end) {
    if (in_batch) {
      size_t note = 0;
      if (const Status status = take_note(done_ + at, note); status != Status::More) return status;
      at += note;
    } else if (rest()[at] == '#') {
      at = rest().find('\n', at) + 1;
      continue;
    }
    if (const Status status = read_command(done_ + at); status != Status::More) return status;
    at += parser_.consumed();
    if (is_word(arguments_, "multi") || is_word(arguments_, "exec")) continue;
    if (const Status status = deliver(); status != Status::More) return status;
  }
  ++units_;
  return Status::More;
}

AofReader::Status AofReader::deliver() {
  if (arguments_.size() == 2 && equals_ignoring_case(arguments_[0], "select")) {
    const std::optional<int64_t> index = parse_int(arguments_[1]);
    if (!index || *index < 0 || *index >= limits::kDatabases) return corrupt("SELECT of no database");
    database_ = static_cast<int>(*index);
    return Status::More;
  }
  const std::optional<storage::Note> note = std::exchange(note_, {});
  const Result<void> done = apply_({.database = database_, .arguments = arguments_, .note = note ? &*note : nullptr});
  if (done) return Status::More;
  reason_ = done.error().text;
  return Status::Refused;
}

}  // namespace quartet::persistence
