// A plugin whose frames are of a size of its own; two builds of it take turns at one path.
extern "C" [[gnu::visibility("default"), gnu::noinline]] int plugin_call(void (*leaf)(), int levels) {
  volatile char frame[FRAME_BYTES];
  frame[0] = static_cast<char>(levels);
  if (levels == 0) {
    leaf();
  } else {
    plugin_call(leaf, levels - 1);
  }
  frame[1] = frame[0];
  return FRAME_BYTES;
}
