// The note in each file that Tenure's heap is linked into, so that the command can tell a program that brings Tenure
// along from one that brings another malloc: in an executable neither is exported but for malloc itself.
//
//   .note.tenure, in a PT_NOTE segment: owner "Tenure", type note_of_core, no description
#pragma once

#define TENURE_NOTE_OWNER "Tenure"

namespace tenure::wire {

inline constexpr char note_owner[] = TENURE_NOTE_OWNER;
inline constexpr unsigned note_of_core = 1;

}  // namespace tenure::wire
