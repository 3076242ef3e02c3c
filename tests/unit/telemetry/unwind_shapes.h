// Functions of all the shapes that unwind information must describe; each calls `leaf` from its innermost frame.
#pragma once

using leaf_function = void (*)();

#define TENURE_DECLARE_SHAPES(name)             \
  namespace name {                              \
  void recursion(leaf_function leaf, int);      \
  void small_frames(leaf_function leaf);        \
  void big_frame(leaf_function leaf);           \
  void dynamic_frame(leaf_function leaf, int);  \
  void aligned_frame(leaf_function leaf, int);  \
  void never_returning(leaf_function leaf);     \
  void through_library(leaf_function leaf);     \
  void through_lambdas(leaf_function leaf);     \
  void in_catch(leaf_function leaf);            \
  void in_cleanup(leaf_function leaf);          \
  void many_arguments(leaf_function leaf);      \
  unsigned busy_work(unsigned seed, int depth); \
  }

TENURE_DECLARE_SHAPES(shapes_at_0)
TENURE_DECLARE_SHAPES(shapes_at_2)
TENURE_DECLARE_SHAPES(shapes_at_3)
