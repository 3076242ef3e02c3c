/* The same in C: the header compiles as C, and malloc is Tenure's. */
#include <stdio.h>
#include <stdlib.h>
#include <tenure/tenure.h>

int main(void) {
  void* block = malloc(10);
  const int good = tenure_is_active() && tenure_block_size(block) >= 10;
  free(block);
  puts(good ? "served by Tenure" : "not served by Tenure");
  return good ? 0 : 1;
}
