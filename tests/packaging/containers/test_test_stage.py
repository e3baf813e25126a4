"""The stage `test` of the Dockerfile.  Not beside others: like the build, it needs the network of whoever calls."""
import engine as engines


def test_the_stage_runs_the_compiled_tests_and_they_pass(image):
    told = image.attempt("build", "--target=test", f"--tag={engines.IMAGE}-test", ".", timeout=1800)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-1000:]
