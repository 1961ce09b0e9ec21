module limeade.test/stress

go 1.25
