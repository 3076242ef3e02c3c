// tenure::gc: managed objects for C++, collected while the program runs.
//
//     #include <tenure/gc.hpp>
//     namespace gc = tenure::gc;
//
//     struct node { gc::member<node> next; std::string name; };   // nothing else to declare
//
//     gc::local<node> n = gc::make<node>();
//     n->next = gc::make<node>();
//
//   where a pointer is                 what to write
//   variable, parameter, result        local<T>
//   in a managed object                member<T>; for many threads at once atomic_member<T>
//   many of them                       vector, deque, map, unordered_map; characters string
//   beside another, while that lives   ephemeron<K, V>, weak_map<K, V>
//   anywhere else                      root<T>
//   anywhere, keeping nothing alive    weak<T>; as long as there is memory to spare soft<T>
//   an address for foreign code        pin<T>
//   to be told of an object's end      phantom<T>; to prevent it guardian<T>
//
// Each header is a contract of its own. docs/library/gc.md explains how it works and what it costs.
#pragma once

#include <tenure/gc/atomic_member.hpp>
#include <tenure/gc/deque.hpp>
#include <tenure/gc/ephemeron.hpp>
#include <tenure/gc/guardian.hpp>
#include <tenure/gc/heap.hpp>
#include <tenure/gc/heap_of.hpp>
#include <tenure/gc/local.hpp>
#include <tenure/gc/make.hpp>
#include <tenure/gc/map.hpp>
#include <tenure/gc/member.hpp>
#include <tenure/gc/members.hpp>
#include <tenure/gc/phantom.hpp>
#include <tenure/gc/pin.hpp>
#include <tenure/gc/relocatable.hpp>
#include <tenure/gc/root.hpp>
#include <tenure/gc/snapshot.hpp>
#include <tenure/gc/soft.hpp>
#include <tenure/gc/string.hpp>
#include <tenure/gc/unordered_map.hpp>
#include <tenure/gc/vector.hpp>
#include <tenure/gc/weak.hpp>
#include <tenure/gc/weak_map.hpp>
