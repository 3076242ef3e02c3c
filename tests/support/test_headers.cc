// Carries the headers that the tests share in compiled form (tenure_reuse_test_headers in cmake/TenureRoom.cmake).
int main() { return 0; }
