/* TENURE_API marks what libtenure.so lets programs see; everything else in it is hidden.
 *
 * A class that has out-of-line members or a vtable, or that is thrown as an exception or compared with dynamic_cast
 * across libraries, is marked as a whole; a free function by itself. A template needs no mark: it is the program's.
 *
 *     class TENURE_API arena_resource : public std::pmr::memory_resource { ... };
 *     TENURE_API void collect();
 */
#ifndef TENURE_API_H
#define TENURE_API_H

#define TENURE_API __attribute__((visibility("default")))

#endif
